"""torchxrayvision's DenseNets in our layout; the only importer of torchxrayvision, and it leaves no trace.

Their network has a head of 18 columns of which some were never trained, in-place ReLUs, and a forward that bends the
sigmoid at a threshold (torchxrayvision/models.py, 1.5.7). Here: the same weights, trained columns only, plain logits.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import threading
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType

from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from .architectures import DenseNet
from .build import build
from .layout import DenseNetShape

_import_lock = threading.Lock()


def torchxrayvision() -> ModuleType:
    """The package, imported without its side effects.

    Importing it silences every warning of the process, puts two of its folders first on sys.path and may print; all
    of this is undone.
    """
    with _import_lock:
        path = list(sys.path)
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                return importlib.import_module("torchxrayvision")
        finally:
            sys.path[:] = path


def trained_state(state: Mapping[str, Tensor], slots: Sequence[str]) -> dict[str, Tensor]:
    """State dict of ours from theirs: trained rows of the classifier, without the thresholds kept as a buffer.

    Raises:
        XrayInterpError: `weights-corrupt` where the head has not one row a slot.
    """
    kept = {key: tensor for key, tensor in state.items() if key != "op_threshs"}
    rows = [column for column, name in enumerate(slots) if name]
    for key in ("classifier.weight", "classifier.bias"):
        if key not in kept or kept[key].shape[0] != len(slots):
            shape = tuple(kept[key].shape) if key in kept else "nothing"
            raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{key} is {shape}, expected {len(slots)} rows.")
        kept[key] = kept[key][rows].clone()
    return kept


def adapt(module: nn.Module, slots: Sequence[str] | None = None) -> tuple[DenseNet, tuple[str, ...]]:
    """A torchxrayvision DenseNet of any size as our frozen DenseNet, and the names of its outputs.

    Args:
        module: an instance of `torchxrayvision.models.DenseNet`; it is not changed, and its weights are copied.
        slots: names of its outputs, "" where untrained; None takes the module's own `targets`.

    Raises:
        XrayInterpError: `weights-corrupt` for another layout.
    """
    names = tuple(module.targets if slots is None else slots)  # type: ignore[arg-type]  # an attribute of theirs
    state = {key: tensor.detach().cpu().clone() for key, tensor in module.state_dict().items()}
    return build(shape_of(state), names, trained_state(state, names)), tuple(name for name in names if name)


def shape_of(state: Mapping[str, Tensor]) -> DenseNetShape:
    """Size of the DenseNet that a state dict belongs to."""
    try:
        growth, inner = state["features.denseblock1.denselayer1.conv2.weight"].shape[:2]
        stem = state["features.conv0.weight"].shape[0]
    except KeyError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights are not of a DenseNet: no {error}.") from error
    layers = {tuple(key.split(".")[1:3]) for key in state if ".denselayer" in key}
    names = sorted({block for block, _ in layers})
    blocks = tuple(sum(block == name for block, _ in layers) for name in names)
    return DenseNetShape(growth=growth, blocks=blocks, stem=stem, bottleneck=inner // growth)
