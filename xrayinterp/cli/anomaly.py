"""`xrayinterp anomaly`: fit a detector of the unusual on normal films, and score films with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..errors import Code, XrayInterpError
from ..paths import DATA_ENV
from .anomaly_evaluate import evaluate
from .console import complain, remark, ticking, tracked
from .films import conclude, gathered, unfinished, written
from .options import (
    Device,
    Files,
    FitOption,
    Seed,
    StatedFit,
    StatedView,
    folder_for,
    split_list,
    view_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..anomaly.calibration import Calibration
    from ..anomaly.making import Normals
    from ..anomaly.table import Row

app = typer.Typer(
    help="How unusual a film is, against the normals a detector was fitted on. Unusual is not a word for disease.",
    no_args_is_help=True,
)
app.command()(evaluate)

DetectorName = Annotated[str, typer.Option("--detector", help="A detector's name or file.")]
Table = Annotated[Path, typer.Option("--csv", help="Table to write: a row a film.", show_default=False)]
NormalFiles = Annotated[
    list[str] | None,
    typer.Argument(help="Normal films or folders of them; else --dataset.", show_default=False, metavar="[FILES]..."),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="File to write, .safetensors.", show_default=False)]
DataSet = Annotated[str | None, typer.Option(help="A data set, of which films without findings are normal.")]
Splits = Annotated[list[str], typer.Option("--split", help="Splits of the data set to learn from.")]
HeldOut = Annotated[list[str], typer.Option(help="Splits of the data set to calibrate on.")]
Means = Annotated[str | None, typer.Option("--normal", help="What is normal about FILES, in a sentence.")]
ExpertName = Annotated[
    str, typer.Option("--expert", help="self-supervised, vgg16, random, random-vgg16, or a model's name or file.")
]
Size = Annotated[int | None, typer.Option(min=32, help="Side of the expert's input in pixels.")]
Epochs = Annotated[int, typer.Option(min=1, help="Passes over the normals.")]
Batch = Annotated[int, typer.Option(min=2, help="Films a step.")]
Cloner = Annotated[Literal["small", "equal"], typer.Option(help="A small cloner, or one as large as the expert.")]
Terms = Annotated[Literal["both", "value", "direction"], typer.Option(help="Terms of the loss and of the score.")]
Points = Annotated[Literal["all", "last"], typer.Option(help="Critical points: all, or the last alone.")]
Fusion = Annotated[
    Literal["sum", "standardised"], typer.Option(help="The published sum, or terms in deviations of held-out normals.")
]
Data = Annotated[
    Path | None, typer.Option(help=f"Data root; else the environment variable {DATA_ENV}.", show_default=False)
]
Work = Annotated[Path | None, typer.Option(help="Folder that keeps every epoch's state: a broken fit goes on there.")]
Limit = Annotated[int | None, typer.Option(min=20, help="At most so many films a split, for a trial.")]


@app.command()
def fit(
    out: Out,
    files: NormalFiles = None,
    dataset: DataSet = None,
    split: Splits = ["train"],  # noqa: B006 (typer copies it)
    held_out: HeldOut = ["val"],  # noqa: B006
    normal: Means = None,
    expert: ExpertName = "self-supervised",
    size: Size = None,
    epochs: Epochs = 20,
    batch: Batch = 64,
    cloner: Cloner = "small",
    terms: Terms = "both",
    points: Points = "all",
    fusion: Fusion = "sum",
    data: Data = None,
    work: Work = None,
    limit: Limit = None,
    device: Device = "cpu",
    seed: Seed = 0,
) -> None:
    """Fit a detector on normal films alone, calibrate it on others, and write it with a record of what normal means."""
    _check(out, files, dataset, normal, data)
    from ..anomaly.calibration import Calibration
    from ..anomaly.choice import expert_named
    from ..anomaly.files import LARGEST, MAX_BYTES, check_plan
    from ..anomaly.fitting import Settings
    from ..anomaly.making import from_dataset, from_files, make

    chosen = expert_named(expert, size=size, seed=seed)
    settings = Settings(cloner=cloner, terms=terms, fusion=fusion, epochs=epochs, batch=batch, seed=seed)
    if points == "last":
        settings = settings.last_only(chosen)
    most = MAX_BYTES if cloner == "small" else LARGEST
    check_plan(out.stem, chosen, settings, limit=most)
    for folder in filter(None, (out.parent, work)):
        folder_for(folder)
    normals: Normals
    if dataset is not None:
        normals = from_dataset(dataset, split_list(split), split_list(held_out), root=data, limit=limit)
    else:
        names = gathered(files or [], exclude=(out,))[:limit]
        with ticking(len(names), "Reading") as tick:
            normals = from_files(names, str(normal), seed=seed, tick=tick)
    with ticking(epochs, "Fitting") as tick:
        _, record = make(
            out.stem,
            out,
            chosen,
            normals,
            settings,
            folder=work,
            device=device,
            tick=tick,
            limit=most,
        )
    remark(f"{out}: {record.normals.films} normal films, lambda {record.balance:.3g}, loss {record.curve[-1]:.4g}.")
    _reserve(Calibration.of(record.calibration.scores, record.calibration.patients))


@app.command()
def score(
    files: Files,
    csv: Table,
    detector: DetectorName = "unusualness",
    view: StatedView = None,
    fit: StatedFit = FitOption.CROP,
    device: Device = "cpu",
) -> None:
    """Score many films: one CSV row each, in the order given.

    Columns: file (as given), verdict (ok, warned or the error's code), gate (pass, or stop where the input gate or the
    detector's own threshold stops it; empty where there is neither), score (higher is more unusual), percentile among
    held-out normals.
    """
    if fit is not FitOption.CROP:
        raise XrayInterpError(
            Code.BAD_OPTION,
            "Films that are padded cannot be scored: detectors learn and are calibrated on centre crops.",
            "Leave --fit out.",
        )
    from ..anomaly.gate import load_gate
    from ..anomaly.model import load
    from ..anomaly.table import score_films, write_csv

    found = gathered(files, exclude=(csv, unfinished(csv)))
    model = load(detector, device=device)
    _reserve(model.calibration)
    rows = _told(tracked(score_films(found, model, load_gate(), view=view_of(view)), len(found), "Scoring"))
    refused = written(csv, lambda handle: write_csv(rows, handle))
    conclude(len(found), refused, csv)


def _told(rows: Iterator[Row]) -> Iterator[Row]:
    """The same rows; which films were stopped, and why some were refused, goes to stderr: the table has no column."""
    from ..anomaly.gate_record import WARNING

    for row in rows:
        if not row.read:
            complain(row.verdict, f"{row.file}: {row.message}")
        elif row.gate == "stop":
            remark(f"warning [{WARNING.code}]: {row.file}")
        yield row


def _reserve(calibration: Calibration) -> None:
    """Say where the table's percentiles are coarser than they look."""
    if said := calibration.reservation:
        remark(said)


def _check(out: Path, files: list[str] | None, dataset: str | None, normal: str | None, data: Path | None) -> None:
    if out.suffix != ".safetensors" or out.is_dir():
        raise XrayInterpError(Code.BAD_OPTION, f"{out} is no name for a detector.", "Let it end in .safetensors.")
    if bool(files) == (dataset is not None):
        raise XrayInterpError(Code.BAD_OPTION, "A fit takes files or a data set.", "Give FILES or --dataset, not both.")
    if files and not normal:
        raise XrayInterpError(
            Code.BAD_OPTION, "Nothing says what is normal about these films.", "Say it in a sentence with --normal."
        )
    if dataset is not None and normal:
        raise XrayInterpError(
            Code.BAD_OPTION, "Of a data set, films without findings are normal.", "Leave --normal out, or give FILES."
        )
    if files and data is not None:
        raise XrayInterpError(Code.BAD_OPTION, "FILES are read from no data root.", "Leave --data out.")
