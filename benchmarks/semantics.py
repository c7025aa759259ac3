"""Does the split of a logit say something true? Residuals of both identities, and what concept bars are worth.

Residuals are taken over real radiographs and all findings of each built-in model. Then, for three findings, on mask
films the model has not seen: does the concept's contrast tell films with an outlined finding from those without?
Writes semantics.md beside this file. Needs XRAYINTERP_DATA.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.progress import track

from xrayinterp.concepts.probes import ProbeFilm, load_probe_set
from xrayinterp.datasets.films import load_films
from xrayinterp.dissection.shipped import UNSEEN
from xrayinterp.explanation import trace
from xrayinterp.imaging.radiograph import Radiograph
from xrayinterp.imaging.reader import read
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model
from xrayinterp.semantics import SemanticAttribution, split
from xrayinterp.training.measure import Scored, auroc_interval

FILMS = 200
SEED = 0
CONCEPTS = ("Effusion", "Cardiomegaly", "Emphysema")
RESULT = Path(__file__).with_suffix(".md")


@dataclass(frozen=True)
class Bar:
    """One concept's bar on one film."""

    film: ProbeFilm
    present: bool
    contrast: float
    from_zero: float
    above: float
    named_share: float
    named_above_share: float


def test_films() -> list[Radiograph]:
    """Real radiographs drawn from the NIH test split."""
    films = load_films("nih", splits=["test"], min_native_width=128)
    chosen = np.random.default_rng(SEED).choice(len(films), FILMS, replace=False)
    return [read(films[i].path, view="PA" if films[i].view == "PA" else "AP") for i in chosen]


def residuals(model: ChestModel, films: list[Radiograph]) -> tuple[list[float], list[float]]:
    """Relative errors of the identity from zero and of the contrast, for every film and finding."""
    zero, contrast = [], []
    for film in track(films, f"{model.name}: identities"):
        run = trace(film, model)
        for finding in model.findings:
            parts = split(model, run.maps, run.logits, finding, run.atlases)
            zero.append(parts.residual)
            contrast.append(parts.contrast_residual if parts.contrast_residual is not None else np.nan)
    return zero, contrast


def bars(model: ChestModel, concept: str) -> Iterator[Bar]:
    """The concept's bar in the logit of the finding of the same name, on every unseen mask film."""
    probes = load_probe_set("chestx-det", splits=UNSEEN)
    for film in track(probes.films, f"{concept}: mask films"):
        run = trace(read(film.picture.path, view="PA"), model)
        parts = split(model, run.maps, run.logits, concept, run.atlases)
        share = next((c for c in parts.concepts if c.concept == concept), None)
        if share is None:
            return
        named, above = _named(parts, model, run)
        yield Bar(
            film, bool(film.mask(concept).any()), share.contrast or 0.0, share.contribution, share.above, named, above
        )


def _named(parts: SemanticAttribution, model: ChestModel, run: object) -> tuple[float, float]:
    """Share of sum |C| carried by labelled units, and by labelled units where they fire."""
    units = [unit for concept in parts.concepts for unit in concept.units]
    labelled = sum(abs(unit.contribution) for unit in units)
    weight = model.module.classifier.weight[model.index(parts.finding)].detach().cpu()  # type: ignore[union-attr,index]
    total = float((weight * run.maps[0].mean((1, 2)).cpu()).abs().sum())  # type: ignore[attr-defined]
    return labelled / total, sum(abs(unit.above) for unit in units) / total


def concept_row(model: ChestModel, concept: str) -> str:
    """One line of the table of concepts."""
    found = list(bars(model, concept))
    if not found:
        return f"| {concept} | no unit bears this name | | | | | |"
    present = np.array([bar.present for bar in found])
    patients = [bar.film.patient for bar in found]

    def tells(values: list[float]) -> str:
        area = auroc_interval(Scored(present.astype(float), np.array(values), patients))
        return "" if area is None else f"{area.value:.3f} ({area.low:.3f} to {area.high:.3f})"

    def median(values: list[float], where: np.ndarray) -> str:
        return f"{np.median(np.array(values)[where]):+.3f}"

    contrast, zero = [bar.contrast for bar in found], [bar.from_zero for bar in found]
    shares = f"{np.median([b.named_share for b in found]):.1%} / {np.median([b.named_above_share for b in found]):.1%}"
    return (
        f"| {concept} | {present.sum()} of {len(found)} | {median(contrast, present)} / {median(contrast, ~present)} | "
        f"{median(zero, present)} / {median(zero, ~present)} | {tells(contrast)} | {tells([b.above for b in found])} | "
        f"{shares} |"
    )


def main() -> None:
    """Write the tables."""
    films = test_films()
    lines = [
        "# The split of a logit over concepts",
        "",
        f"## Residuals over {FILMS} real radiographs (NIH test, seed {SEED}), relative to max(1, |logit|)",
        "",
        "| model | splits | from zero: max | median | contrast: max | median |",
        "|---|---|---|---|---|---|",
    ]
    for name in ("compact", "weak", "brixia"):
        zero, contrast = residuals(load_model(name), films)
        lines.append(
            f"| {name} | {len(zero)} | {np.max(zero):.1e} | {np.median(zero):.1e} | "
            f"{np.nanmax(contrast):.1e} | {np.nanmedian(contrast):.1e} |"
        )
    compact = load_model("compact")
    lines += [
        "",
        "## Is a concept's bar longer where the concept is? (`compact`, unseen mask films; median with / without)",
        "",
        "| concept | films with it | contrast | from zero | AUROC of the contrast | AUROC of the part above | "
        "share of sum of contributions in absolute value: labelled units / where they fire |",
        "|---|---|---|---|---|---|---|",
        *(concept_row(compact, concept) for concept in CONCEPTS),
        "",
    ]
    RESULT.write_text("\n".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
