"""Tensors in one safetensors file with a record in its header: written whole, read without running anything."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.documents import METADATA_KEY
from ..models.storage import as_stored

LARGEST = 80_000_000
"""Most bytes of a file that is read: an equal-size cloner of VGG-16 at half precision fits."""


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that appears whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.write_bytes(data)
    fresh.replace(path)


def packed(parts: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """Tensors of modules by "part.name" as files store them: kernels as float16, norms and biases as float32."""
    state = {f"{part}.{name}": t for part, module in parts.items() for name, t in module.state_dict().items()}
    kept = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    return {name: tensor.contiguous() for name, tensor in as_stored("The detector", kept).items()}


def header_text(path: Path) -> str:
    """The record in a file's header.

    Raises:
        XrayInterpError: `weights-missing`, `weights-corrupt`, or `bad-manifest` where there is none.
    """
    if not path.is_file():
        raise XrayInterpError(Code.WEIGHTS_MISSING, f"The file {path} does not exist.", "Fit a detector first.")
    if path.stat().st_size > LARGEST:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is larger than {LARGEST} bytes: it is no detector.")
    try:
        with safe_open(path, framework="numpy") as opened:
            text = (opened.metadata() or {}).get(METADATA_KEY)
    except (SafetensorError, OSError) as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is not a whole safetensors file: {error}.") from error
    if text is None:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} holds tensors, but no record of a detector.")
    return str(text)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, as it stores them."""
    from safetensors.torch import load

    try:
        return dict(load(path.read_bytes()))
    except SafetensorError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is not a whole safetensors file: {error}.") from error


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def fill(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    """Load the tensors whose names begin with `prefix` into a module.

    Raises:
        XrayInterpError: `weights-corrupt` where they do not fit it.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    counters = {name: t for name, t in module.state_dict().items() if name.endswith("num_batches_tracked")}
    try:
        module.load_state_dict({**counters, **own})
    except RuntimeError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights do not fit their network: {error}.") from error
