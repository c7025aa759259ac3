"""Options that several commands share, and what each error code means for the exit status."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import Code, XrayInterpError
from .console import download_bar

if TYPE_CHECKING:
    from ..imaging.geometry import Fit
    from ..imaging.radiograph import View
    from ..models.chest_model import ChestModel

DEFAULT_MODEL = "compact"
"""That of `models.registry`, whose import would slow every --help."""
EXIT_INTERNAL = 1
EXIT_USAGE = 2
EXIT_REFUSED = 3
EXIT_INTERRUPTED = 130

_USAGE = frozenset(
    {
        Code.BAD_OPTION,
        Code.UNKNOWN_MODEL,
        Code.UNKNOWN_FINDING,
        Code.UNKNOWN_METHOD,
        Code.UNKNOWN_LAYER,
        Code.UNKNOWN_PROBES,
    }
)


def exit_status(code: Code) -> int:
    """Exit status of a command that an error ended."""
    return EXIT_USAGE if code in _USAGE else EXIT_INTERNAL


class ViewOption(StrEnum):
    """Views that can be stated on the command line."""

    PA = "PA"
    AP = "AP"


class FitOption(StrEnum):
    """How a film that is not square becomes the model's square."""

    CROP = "crop"
    PAD = "pad"


Files = Annotated[list[str], typer.Argument(help="Films (DICOM, PNG, JPEG) or folders of films.", show_default=False)]
Model = Annotated[str, typer.Option("--model", "-m", help="A model's name (see `xrayinterp models list`) or file.")]
Device = Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:0 ...")]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of everything that draws random numbers.")]
StatedView = Annotated[
    ViewOption | None,
    typer.Option("--view", case_sensitive=False, help="View of these films, where their headers do not say."),
]
StatedFit = Annotated[FitOption, typer.Option("--fit", help="Cut the central square, or pad to the long side.")]


def view_of(option: ViewOption | None) -> View | None:
    """The reader's statement as `imaging.reader.read` takes it."""
    return None if option is None else option.value


def fit_of(option: FitOption) -> Fit:
    """The same choice as `imaging.geometry` takes it."""
    return option.value


def split_list(values: Sequence[str]) -> tuple[str, ...]:
    """Names given one by one, by commas, or both; blanks dropped, doubles once, order kept."""
    return tuple(dict.fromkeys(name.strip() for value in values for name in value.split(",") if name.strip()))


def cannot_write(path: Path, error: OSError) -> XrayInterpError:
    """What went wrong where results should lie."""
    return XrayInterpError(
        Code.BAD_OPTION, f"{path} cannot be written: {error.strerror or error}.", "Name another place for the results."
    )


def folder_for(out: Path) -> None:
    """Make a folder for results where it is not there, and see that it takes files, before any work is done.

    Raises:
        XrayInterpError: `bad-option` where nothing can be written there.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=out).close()
    except FileExistsError:
        raise XrayInterpError(Code.BAD_OPTION, f"{out} is a file.", "Name a folder for the results.") from None
    except OSError as error:
        raise cannot_write(out, error) from error


def open_model(name: str, device: str) -> ChestModel:
    """A model on a device; weights that are not here yet are fetched, with a progress bar."""
    from ..models.zoo import load_model

    with download_bar() as progress:
        return load_model(name, device=device, progress=progress)
