"""The built-in self-supervised expert on disk, and how an expert is recorded and found again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pydantic import ValidationError
from safetensors.torch import save

from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet
from ..models.documents import METADATA_KEY
from ..models.layout import DenseNetShape
from ..models.registry import describe, is_name, model_names
from ..paths import write_whole
from .card import ExpertRecord, RecipeRecord
from .experts import Expert, densenet_expert
from .shelf import BUILTIN
from .tensor_files import as_floats, fill, filled, header_text, packed, read_tensors

SHIPPED = "self-supervised"
SHIPPED_FILE = BUILTIN / "experts" / f"{SHIPPED}.safetensors"


def save_expert(path: Path, module: DenseNet, size: int) -> Path:
    """Write a self-supervised expert, kernels as float16; read again by `shipped_expert`."""
    state = packed({"expert": module})
    fill(module, as_floats(state), "expert.")
    record = expert_record(densenet_expert(module, SHIPPED, "self-supervised", size))
    write_whole(path, save(state, metadata={METADATA_KEY: record.model_dump_json()}))
    return path


def shipped_expert(*, size: int | None = None) -> Expert:
    """The built-in self-supervised expert; `size` is the side of its input, None takes the one it learnt at.

    Raises:
        XrayInterpError: `weights-missing` where it is not in this installation; `weights-hash` where it is damaged.
    """
    record = _shipped_record()
    net = filled(lambda: DenseNet(record.shape or DenseNetShape(), 1), as_floats(read_tensors(SHIPPED_FILE)), "expert.")
    expert = densenet_expert(net, record.name, "self-supervised", record.recipe.size or 128)
    return same_expert(expert, record, SHIPPED_FILE).at_size(size or record.recipe.size)


def shipped_sha256() -> str | None:
    """SHA-256 of the built-in expert's tensors; None where it is not in this installation."""
    return _shipped_record().sha256 if SHIPPED_FILE.is_file() else None


def at_home(name: str, sha256: str | None) -> bool:
    """Whether a chest model is found again by its name: built in, published or imported, with these weights."""
    return is_name(name) and name in model_names() and describe(name).card.sha256 == sha256


def expert_record(expert: Expert) -> ExpertRecord:
    """What a file says of an expert."""
    return ExpertRecord(
        name=expert.name,
        kind=expert.kind,
        points=expert.points,
        recipe=RecipeRecord(**asdict(expert.recipe)),
        label_informed=expert.label_informed,
        sha256=expert.sha256,
        shape=expert.shape,
    )


def same_expert(expert: Expert, record: ExpertRecord, path: Path) -> Expert:
    """The expert, if it is the recorded one.

    Raises:
        XrayInterpError: `weights-hash` otherwise; `bad-manifest` where it is fed in another way than recorded.
    """
    if expert.points != record.points or expert.sha256 != record.sha256:
        raise XrayInterpError(
            Code.WEIGHTS_HASH,
            f"{path} was fitted to another {record.name!r} than the one here: SHA-256 {record.sha256}, "
            f"here {expert.sha256}.",
            "Fit the detector again.",
        )
    if (fed := RecipeRecord(**asdict(expert.recipe))) != record.recipe:
        raise XrayInterpError(
            Code.BAD_MANIFEST,
            f"{path} says that {record.name!r} is fed by {record.recipe}, and it is fed by {fed}.",
            "Fit the detector again.",
        )
    return expert


def _shipped_record() -> ExpertRecord:
    try:
        return ExpertRecord.model_validate_json(header_text(SHIPPED_FILE))
    except ValidationError as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{SHIPPED_FILE} holds no expert's record: {error}.") from error
