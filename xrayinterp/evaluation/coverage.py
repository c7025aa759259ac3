"""How much of a logit is said by units that bear a concept's name, where they fire."""

from __future__ import annotations

from dataclasses import dataclass

from ..attribution import Forward
from ..attribution.target import Target
from ..errors import Code, XrayInterpError
from ..semantics import SemanticAttribution


@dataclass(frozen=True)
class Coverage:
    """Shares of sum_k |C_k|: `above`, of labelled units where they fire; `labelled`, of labelled units altogether."""

    above: float
    labelled: float
    units: int


def coverage(forward: Forward, target: Target, semantic: SemanticAttribution) -> Coverage | None:
    """Coverage of one film's logit, or None where no unit contributes anything.

    C_k = sum_u A_k(u) df/dA_k(u) at the last map, where it equals ablation exactly (`semantics`).

    Raises:
        XrayInterpError: `internal` where the labelled units hold more than all units, so that the two are of different
            films or findings.
    """
    A, g = forward.map_gradient(target)
    total = float((A * g).sum((2, 3)).abs().sum().double())
    if total == 0:
        return None
    units = [unit for concept in semantic.concepts for unit in concept.units]
    labelled = sum(abs(unit.contribution) for unit in units) / total
    if labelled > 1 + 1e-3:
        raise XrayInterpError(
            Code.INTERNAL,
            f"Labelled units hold {labelled:.3g} of all contributions to {semantic.finding!r}.",
            "The split and the forward must be of one film and finding.",
        )
    return Coverage(sum(abs(unit.above) for unit in units) / total, labelled, len(units))
