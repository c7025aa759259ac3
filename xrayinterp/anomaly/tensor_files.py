"""Tensors in one safetensors file with a record in its header: written whole, read without running anything."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.documents import METADATA_KEY
from ..models.storage import as_stored

LARGEST = 80_000_000
"""Most bytes of a file that is read: an equal-size cloner of VGG-16 at half precision fits."""
STORED = (torch.float16, torch.float32)
"""Types that `packed` writes."""
SAID = 500
"""Most characters of what torch says of weights that do not fit."""

Module = TypeVar("Module", bound=nn.Module)


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
    """The tensors of a file, as it stores them.

    Raises:
        XrayInterpError: `weights-corrupt` for a damaged file, or one with tensors of a type that is never written.
    """
    from safetensors.torch import load

    try:
        tensors = dict(load(path.read_bytes()))
    except (SafetensorError, KeyError) as error:  # KeyError: a type that torch does not have
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is not a whole safetensors file: {error}.") from error
    if odd := [f"{name} is {tensor.dtype}" for name, tensor in tensors.items() if tensor.dtype not in STORED]:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{path} is no detector's file: {odd[0]}.", "Get it again.")
    return tensors


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def filled(make: Callable[[], Module], state: Mapping[str, Tensor], prefix: str) -> Module:
    """A network of the tensors whose names begin with `prefix`; it takes no more memory than they do.

    Raises:
        XrayInterpError: `weights-corrupt` where they do not fit it or are not finite.
    """
    with torch.device("meta"):
        module = make()
    fill(module, state, prefix)
    return module


def fill(module: nn.Module, state: Mapping[str, Tensor], prefix: str) -> None:
    """Put the tensors whose names begin with `prefix` in the place of a module's own.

    Raises:
        XrayInterpError: `weights-corrupt` where they do not fit it or are not finite.
    """
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    if bad := [name for name, tensor in own.items() if not torch.isfinite(tensor).all()]:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights in {bad[0]} are not finite.", "Get the file again.")
    counters = {
        name: torch.zeros_like(t, device="cpu")
        for name, t in module.state_dict().items()
        if name.endswith("num_batches_tracked")
    }
    try:
        module.load_state_dict({**counters, **own}, assign=True)
    except RuntimeError as error:
        said = str(error)[:SAID]
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights do not fit their network: {said}.") from error


def as_floats(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copies of tensors in single precision."""
    return {name: tensor.to(torch.float32, copy=True) for name, tensor in state.items()}
