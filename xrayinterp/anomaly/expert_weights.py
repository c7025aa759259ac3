"""VGG-16's published weights: fetched at first use, verified, unpickled safely, and only the convolutions kept."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from ..download import Progress, download, override, sha256_of
from ..errors import Code, XrayInterpError
from ..models.documents import Sha256, Text
from ..models.registry import weights_dir
from ..models.safe_pickle import read_checkpoint
from ..models.storage import place, read_weights
from ..models.weights import WEIGHTS_URL_ENV, locked
from ..paths import manifest_dir

NAME = "vgg16"
PREFIX = "features."


class Published(BaseModel):
    """Where weights are published, and their SHA-256."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    file: str = Field(pattern=r"^[A-Za-z0-9._-]+$")
    sha256: Sha256


class ExpertManifest(Text):
    """A file of `data_manifests/experts`."""

    weights: Published


class ConvertedRecord(BaseModel):
    """What stands beside converted weights: their SHA-256, and that of the published file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Sha256 | None = None
    published: Sha256

    def to_json(self) -> str:
        """Its text."""
        return self.model_dump_json() + "\n"


def manifest() -> ExpertManifest:
    """What is known of VGG-16.

    Raises:
        XrayInterpError: `bad-manifest` for a manifest that says nonsense.
    """
    path = manifest_dir() / "experts" / f"{NAME}.yaml"
    try:
        return ExpertManifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValidationError, yaml.YAMLError) as error:
        raise XrayInterpError(Code.BAD_MANIFEST, f"{path} is not an expert's manifest: {error}.") from error


def vgg16_state(
    file: Path | None = None, *, progress: Progress | None = None, base_url: str | None = None
) -> tuple[dict[str, Tensor], str]:
    """Tensors of `vgg16().features` and the SHA-256 of the published file they are from.

    Args:
        file: the published checkpoint at hand; None takes what is kept, or the file put beside it, or fetches.
        progress: see `download.Progress`.
        base_url: a folder on another server; else XRAYINTERP_WEIGHTS_URL, else the publisher's.

    Raises:
        XrayInterpError: `weights-offline`, `weights-hash`, `weights-unsafe`, `weights-corrupt`.
    """
    published = manifest().weights
    folder = weights_dir() / "experts"
    kept = folder / f"{NAME}.safetensors"
    with locked(NAME):
        if file is None and kept.is_file():
            record = _record(kept)
            if record.published == published.sha256:
                return read_weights(kept, record.sha256), record.published
        source = file or weights_dir() / published.file
        if not source.is_file():
            _fetch(published, source, progress, base_url)
        state = _converted(source, published)
        place(folder, NAME, _packed(state), ConvertedRecord(published=published.sha256))
        if file is None:
            source.unlink()
    return state, published.sha256


def _record(kept: Path) -> ConvertedRecord:
    beside = kept.with_suffix(".json")
    try:
        return ConvertedRecord.model_validate_json(beside.read_text(encoding="utf-8"))
    except (OSError, ValidationError) as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{beside} cannot be read: {error}.", "Remove both.") from error


def _fetch(published: Published, target: Path, progress: Progress | None, base_url: str | None) -> None:
    url = override(published.url, base_url, WEIGHTS_URL_ENV)
    try:
        download(url, target, sha256=published.sha256, progress=progress)
    except XrayInterpError as error:
        if error.code is Code.WRONG_HASH:
            raise XrayInterpError(Code.WEIGHTS_HASH, error.message, error.hint) from error
        if error.code is not Code.OFFLINE:
            raise
        raise XrayInterpError(
            Code.WEIGHTS_OFFLINE,
            f"The weights of {NAME!r} are not on this machine. {error.message}",
            f"On a machine that is online, fetch {url} and put it at {target}; or choose another expert.",
        ) from error


def _converted(source: Path, published: Published) -> dict[str, Tensor]:
    found = sha256_of(source)
    if found != published.sha256:
        raise XrayInterpError(
            Code.WEIGHTS_HASH,
            f"{source} has the SHA-256 {found}, expected {published.sha256} for {NAME!r}.",
            "It is another file or a damaged one; fetch it again.",
        )
    from .experts import vgg16_features

    state = {
        name.removeprefix(PREFIX): tensor for name, tensor in read_checkpoint(source).items() if name.startswith(PREFIX)
    }
    wanted = {name: tensor.shape for name, tensor in vgg16_features().state_dict().items()}
    if {name: tensor.shape for name, tensor in state.items()} != wanted:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"{source} does not hold the convolutions of VGG-16.")
    return state


def _packed(state: dict[str, Tensor]) -> bytes:
    from safetensors.torch import save

    return save({name: tensor.contiguous() for name, tensor in state.items()})
