"""A map while the network behind it loses its weights, from the head down: one depth after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..attribution.target import Target
from ..evaluation.randomisation import cascade
from ..evaluation.similarity import Similarity, similarity
from ..explanation import SaliencyMap, Trace, saliency
from ..operators.interrupt import interruptible


@dataclass(frozen=True)
class Depth:
    """The map with `depth` blocks of weights permuted, from the head down to `layer`; 0 is the trained network.

    `alike` compares it with the trained network's map.
    """

    depth: int
    layer: str
    saliency: SaliencyMap
    alike: Similarity


def depths(make: Callable[[], Trace], finding: str, method: str, cancelled: Callable[[], bool]) -> Iterator[Depth]:
    """The trained network's map, then one for each further block of permuted weights, each as soon as it is made."""
    with interruptible(cancelled):
        run = make()
        own = saliency(run, finding, method)
    yield Depth(0, "", own, similarity(own.values, own.values))
    stages = cascade(run.model, run.forward.x, Target(run.model.index(finding)), method, own.options)
    while True:
        with interruptible(cancelled):  # never across a yield: the mode would stay with whoever reads
            stage = next(stages, None)
        if stage is None:
            return
        values = stage.values[0, 0].float().cpu().numpy()
        made = SaliencyMap(method, values, own.signed, own.options)
        yield Depth(stage.depth, stage.block[0].removeprefix("features."), made, similarity(own.values, values))
