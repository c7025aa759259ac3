"""Weights on disk: `<name>.safetensors` with its record `<name>.json`, written together and checked when read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from pydantic import ValidationError

from ..errors import Code, XrayInterpError
from ..paths import write_whole
from .documents import Record

if TYPE_CHECKING:
    from torch import Tensor

    from .architectures import DenseNet


class Recorded(Protocol):
    """What stands beside weights: a document that takes their SHA-256 and becomes text."""

    def model_copy(self, *, update: Mapping[str, Any]) -> Self:
        """The same with some fields replaced."""
        ...

    def to_json(self) -> str:
        """Its text."""
        ...


def save_builtin(folder: Path, name: str, module: DenseNet, measured: Mapping[str, Any]) -> Path:
    """Write a trained network and its measured record into `folder`; return the safetensors file.

    Convolutions and the classifier's matrix are stored as float16, norms and biases as float32. `measured` holds the
    fields of `documents.Record` but for `architecture` and `sha256`, which are taken from what is written: at least
    findings, size, scale, detail, task.

    Raises:
        XrayInterpError: `bad-manifest` for a record that does not fit, `weights-corrupt` where float16 overflows.
    """
    state = as_stored(name, module.state_dict())
    raw = {**measured, "architecture": asdict(module.shape)}
    try:
        record = Record.model_validate(raw)
    except ValidationError as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"The record of {name} does not fit: {error}.") from error
    if len(record.findings) != module.classifier.out_features:
        raise XrayInterpError(
            Code.BAD_MANIFEST,
            f"{name} has {module.classifier.out_features} outputs and names {len(record.findings)} findings.",
        )
    return write_weights(folder, name, state, record)


def as_stored(name: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as the package stores them: kernels and matrices as float16, norms and biases as float32.

    Raises:
        XrayInterpError: `weights-corrupt` where float16 overflows.
    """
    import torch

    stored = {key: tensor.detach().cpu() for key, tensor in state.items()}
    stored = {key: tensor.half() if tensor.ndim >= 2 else tensor for key, tensor in stored.items()}
    if bad := [key for key, tensor in stored.items() if not torch.isfinite(tensor).all()]:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{name}: {bad[0]} is not finite in float16.")
    return stored


def write_weights(folder: Path, name: str, state: Mapping[str, Tensor], record: Recorded) -> Path:
    """Write tensors and record as a pair; see `place`."""
    from safetensors.torch import save

    return place(folder, name, save({key: tensor.contiguous() for key, tensor in state.items()}), record)


def place(folder: Path, name: str, data: bytes, record: Recorded) -> Path:
    """Write a safetensors file and its record, each replaced atomically; the record gets the file's SHA-256."""
    text = record.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()}).to_json()
    weights = folder / f"{name}.safetensors"
    write_whole(weights, data)
    write_whole(weights.with_suffix(".json"), text.encode())
    return weights


def read_weights(weights: Path, sha256: str | None) -> dict[str, Tensor]:
    """Tensors of a safetensors file, floats as float32.

    Raises:
        XrayInterpError: `weights-missing`, `weights-hash` where the file is not the one of its record, or
            `weights-corrupt`, also where a value is not finite.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    if not weights.is_file():
        raise XrayInterpError(Code.WEIGHTS_MISSING, f"The weights {weights} are not there.")
    data = weights.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if sha256 is not None and found != sha256:
        raise XrayInterpError(
            Code.WEIGHTS_HASH,
            f"{weights} has the SHA-256 {found}, its record says {sha256}.",
            "The file was damaged or changed; install, fetch or import it again.",
        )
    try:
        state = load(data)
    except SafetensorError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{weights} is not a whole safetensors file: {error}.") from error
    dtypes = {key: torch.float32 if value.is_floating_point() else value.dtype for key, value in state.items()}
    tensors = {key: value.to(dtypes[key], copy=True) for key, value in state.items()}
    if bad := [key for key, value in tensors.items() if not torch.isfinite(value).all()]:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{weights} holds values in {bad[0]} that are not finite.")
    return tensors
