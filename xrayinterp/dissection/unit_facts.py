"""What was measured of a model's units, in one small file beside its atlases: head use, causal effects, shortcuts.

`python -m xrayinterp.dissection.unit_facts` measures the built-in models anew, after their atlases. Reading needs no
torch, so that a model's card can be shown without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter, ValidationError

from ..errors import Code, XrayInterpError
from ..models.card import Interval
from ..paths import whole_file
from .shelf import builtin_folder, same_weights, short_hash

FORMAT = 1
SUFFIX = ".units.json"

Row = tuple[float | None, ...]


@dataclass(frozen=True)
class ConceptUse:
    """The units of a concept together in one logit, in logits.

    `mean`: what they give on average; `contrast`: what they give more on films with the finding than on normal ones,
    None for a finding without films. `share`: their part of sum_k |contrast_fk|; with a share like `units` / all units,
    the head uses them as it uses any. `films` and `patients` show the finding.
    """

    finding: str
    probe: str
    concept: str
    units: int
    mean: float
    contrast: Interval | None
    share: float | None
    films: int
    patients: int


@dataclass(frozen=True)
class Effect:
    """What taking out a concept's units does to a figure of one finding.

    `change`, with its 95 % interval over patients; `random` is the mean change where as many other units of the same
    contribution go, `random_low` and `random_high` hold 95 % of those draws. `p` is the share of draws that move the
    figure at least as far in either direction, the concept itself counted among them; None where there were no draws.
    """

    change: Interval
    random: float | None
    random_low: float | None
    random_high: float | None
    p: float | None


@dataclass(frozen=True)
class CausalEffect:
    """One concept and one finding.

    `units`: how many units each half of the patients chose; where one chose none, its films count with no change.
    `logit`: change of the mean logit on films with the finding; `normal`: on films labelled to show none; `auroc`:
    change of the AUROC of the finding. Each is None where no half has the films for it. `matched`: median over draws
    of the random units' contribution as a share of the concept's, 1 where the match is perfect.
    """

    finding: str
    probe: str
    concept: str
    units: tuple[int, int]
    logit: Effect | None
    normal: Interval | None
    auroc: Effect | None
    matched: float | None


@dataclass(frozen=True)
class ShortcutUnit:
    """A unit that fires on something pasted on films that is no disease.

    Figures as in `AtlasRow`. `finding` is the output that the unit moves most where the shortcut is, and `push` by how
    much, in logits: its weight times its mean on films with the shortcut minus without.
    """

    probe: str
    concept: str
    unit: int
    iou: float
    low: float
    high: float
    ceiling: float
    precision: float
    null_p: float
    finding: str
    push: float


@dataclass(frozen=True)
class ProbeCoverage:
    """What a probe set could find at the layer: units labelled by concept, and the concepts that no unit could reach.

    `undetectable`: highest ceiling at most .04, so that a count of 0 says nothing about the model.
    """

    probe: str
    films: int
    patients: int
    detectors: Mapping[str, int]
    undetectable: tuple[str, ...]


@dataclass(frozen=True)
class UnitFigures:
    """Every unit's part in every output, one row a finding, one column a unit; None for a finding without films.

    `mean`, `contrast`, `low`, `high`: see `head_use.UnitUse`. `logit`, `auroc`: what taking out this unit alone does to
    the mean logit of films with the finding, and to the finding's AUROC.
    """

    mean: tuple[Row, ...]
    contrast: tuple[Row, ...]
    low: tuple[Row, ...]
    high: tuple[Row, ...]
    logit: tuple[Row, ...]
    auroc: tuple[Row, ...]


@dataclass(frozen=True)
class UnitFacts:
    """All of it for one layer of one model.

    `shown` says what makes a film count as one with the finding of an output. `films` of `patients` were measured,
    `normal_films` of them labelled to show nothing. `provenance` holds data, seeds, counts and versions.
    """

    model: str
    model_sha256: str | None
    layer: str
    findings: tuple[str, ...]
    shown: str
    films: int
    patients: int
    normal_films: int
    units: UnitFigures
    concepts: tuple[ConceptUse, ...]
    causal: tuple[CausalEffect, ...]
    shortcuts: tuple[ShortcutUnit, ...]
    probes: tuple[ProbeCoverage, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    format: int = FORMAT

    def shortcut_units(self) -> dict[str, tuple[int, ...]]:
        """Units that fire on a shortcut on the films of every probe set that shows it, by shortcut."""
        places = {one.probe: one.detectors for one in self.probes}
        names = dict.fromkeys(row.concept for row in self.shortcuts)
        looked = {
            name: {row.probe for row in self.shortcuts} | {p for p in places if name in places[p]} for name in names
        }
        found = {(row.probe, row.concept, row.unit) for row in self.shortcuts}
        units = sorted({row.unit for row in self.shortcuts})
        return {name: tuple(u for u in units if all((p, name, u) in found for p in looked[name])) for name in names}


class Carded(Protocol):
    """A model, or its entry in the list of models."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def card(self) -> Any:
        """Its card, with `sha256`."""
        ...


_FILE = TypeAdapter(UnitFacts)


def save_unit_facts(facts: UnitFacts, path: Path) -> None:
    """Write facts; an existing file is replaced in one step. The same facts give the same bytes."""
    with whole_file(path) as partial:
        partial.write_bytes(_FILE.dump_json(facts) + b"\n")


def load_unit_facts(path: Path, model: Carded | None = None) -> UnitFacts:
    """Read facts.

    Args:
        path: a file that `save_unit_facts` wrote.
        model: the model they are meant for; None does not ask.

    Raises:
        XrayInterpError: `not-found`; `bad-manifest` where the file holds no facts of this version; `atlas-mismatch`
            where they were measured on other weights than the model's.
    """
    if not path.is_file():
        raise XrayInterpError(Code.NOT_FOUND, f"There are no unit facts at {path}.", "Run `make embedded`.")
    try:
        facts = _FILE.validate_json(path.read_bytes())
    except ValidationError as error:
        reason = f"{error.errors()[0]['msg']} at {'.'.join(map(str, error.errors()[0]['loc'])) or 'the top'}"
        raise _unreadable(path, reason) from error
    if facts.format != FORMAT:
        raise _unreadable(path, f"format {facts.format}, not {FORMAT}")
    if model is not None and not _applies(facts, model):
        raise XrayInterpError(
            Code.ATLAS_MISMATCH,
            f"{path} was measured on {facts.model!r} with weights {short_hash(facts.model_sha256)}, not on "
            f"{model.name!r} with weights {short_hash(model.card.sha256)}.",
            "Measure it again: python -m xrayinterp.dissection.unit_facts",
        )
    return facts


def unit_facts_for(model: Carded) -> UnitFacts | None:
    """The shipped facts measured on exactly this model's weights; None where there are none."""
    for path in sorted(builtin_folder().glob(f"*{SUFFIX}")):
        facts = _unchanged_facts(path, path.stat().st_mtime_ns)
        if _applies(facts, model):
            return facts
    return None


@lru_cache(maxsize=8)
def _unchanged_facts(path: Path, modified: int) -> UnitFacts:
    """`load_unit_facts`, once for every state of a file."""
    return load_unit_facts(path)


def _applies(facts: UnitFacts, model: Carded) -> bool:
    return same_weights(facts.model, facts.model_sha256, model.name, model.card.sha256)


def _unreadable(path: Path, reason: str) -> XrayInterpError:
    return XrayInterpError(
        Code.BAD_MANIFEST, f"{path} holds no unit facts of this version: {reason}.", "Measure it again, or remove it."
    )


if __name__ == "__main__":
    import typer

    from .unit_facts_building import main

    typer.run(main)
