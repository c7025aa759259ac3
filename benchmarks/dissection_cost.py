"""What dissection costs, in forwards of the same network in the same run, beside brute force and the published flow.

Writes dissection_cost.md beside this file. Needs XRAYINTERP_DATA; run it on an idle machine. Films are NIH films; those
without masks wear the masks of others, since only costs are measured. No table says anything about units.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from xrayinterp.concepts.probes import ProbeFilm, ProbeSet, load_probe_set, mask_grid
from xrayinterp.datasets.films import Film, load_films
from xrayinterp.dissection.cells import FACTOR, cells_above, mask_words
from xrayinterp.dissection.engines import Engine, InProcess, Processes
from xrayinterp.dissection.maps import Reader
from xrayinterp.dissection.masks import Masks
from xrayinterp.dissection.passes import Bars, Passes
from xrayinterp.dissection.plan import GROUPS, ConceptSet, Plan, films_once
from xrayinterp.dissection.regions import find_regions, regions_of
from xrayinterp.dissection.tally import tally
from xrayinterp.dissection.thresholds import Definition
from xrayinterp.evaluation.untrained import untrained
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model

RESULT = Path(__file__).with_suffix(".md")
BLOCKS = ("denseblock1", "denseblock2", "denseblock3", "norm5")
CONCEPTS = 14
PLANNED = {"NIH ChestX-ray14": 112_120, "CheXpert": 224_316}
ON_GPU = 13.4
"""Milliseconds a film of one worker on an accelerator, DenseNet-121, four blocks: dissection_gpu.md."""
PUBLISHED_SIZE = 56
"""Side to which the published flow upsamples."""


@dataclass(frozen=True)
class Borrowed:
    """A film in the masks of another one."""

    film: Film
    lender: ProbeFilm
    concepts: tuple[str, ...]

    def pixels(self) -> np.ndarray:
        """The film's own pixels."""
        return self.film.pixels()

    def masks(self, names: Sequence[str], /) -> np.ndarray:
        """The lender's masks, by nearest neighbour on this film's grid; "again" is their first concept once more."""
        known = self.lender.masks([self.concepts[0] if n == "again" else n for n in names])
        height, width = self.film.pixels().shape
        rows = np.arange(height) * known.shape[1] // height
        columns = np.arange(width) * known.shape[2] // width
        return np.asarray(known[:, rows[:, None], columns])


def probes_of(count: int) -> ProbeSet:
    """So many NIH films, each with masks of fourteen concepts."""
    lenders = load_probe_set("chestx-det").films
    named = load_probe_set("chestx-det").concepts
    concepts = (*named, "again")[:CONCEPTS]
    films = load_films("nih", min_native_width=128)[:count]
    return ProbeSet(
        "costs",
        concepts,
        tuple(
            ProbeFilm(f.id, f.patient, f.split, f.dataset, frozenset(concepts), Borrowed(f, lender, named))
            for f, lender in zip(films, (lenders * (count // len(lenders) + 1))[:count], strict=True)
        ),
    )


def network(name: str) -> ChestModel:
    """`compact`, or a DenseNet-121 of random weights with its inputs."""
    compact = load_model("compact")
    return compact if name == "compact" else untrained(compact)


@contextmanager
def clock(spent: dict[str, float], name: str) -> Iterator[None]:
    """Add wall seconds to `spent[name]`."""
    start = time.perf_counter()
    yield
    spent[name] = spent.get(name, 0.0) + time.perf_counter() - start


def forward_ms(model: ChestModel, films: Sequence[ProbeFilm], repeats: int = 5) -> float:
    """Milliseconds a film of the bare forward in batches of 16, the least of `repeats`, on inputs in memory."""
    reader = Reader(model)
    x = reader._inputs(films[:16])
    best = math.inf
    with torch.inference_mode():
        model.module(x)
        for _ in range(repeats):
            start = time.perf_counter()
            model.module(x)
            best = min(best, (time.perf_counter() - start) / 16)
    return 1000 * best


def layer_costs(model: ChestModel, probes: ProbeSet) -> dict[str, dict[str, float]]:
    """Milliseconds a film and layer of each way to count the same pixels, from maps in memory."""
    films = probes.films
    layers = [model.layer(name) for name in BLOCKS]
    parts: list[list[torch.Tensor]] = [[] for _ in layers]
    for _, read_maps, _ in Reader(model).batches(films, layers, lambda _: None):
        for kept, read in zip(parts, read_maps, strict=True):
            kept.append(read.contiguous())
    out = {}
    for name, layer, kept in zip(BLOCKS, layers, parts, strict=True):
        maps = torch.cat(kept).numpy()
        masks = np.stack([mask_grid(f, probes.concepts, "crop", FACTOR * layer.grid) for f in films])
        out[name] = _layer_costs(maps, masks, [f.patient for f in films])
    return out


def _layer_costs(maps: np.ndarray, masks: np.ndarray, patients: list[str]) -> dict[str, float]:
    spent: dict[str, float] = {}
    count = len(maps)
    with clock(spent, "thresholds"):
        regions = find_regions(maps, Definition.KHAKZAR2021)
    level = regions.thresholds
    with clock(spent, "packing masks"):
        words = Masks.of(mask_words(masks.swapaxes(0, 1)))
    with clock(spent, "tally"):
        cells = cells_above(maps, level, np.arange(count, dtype=np.int32))
        fast = tally(regions_of([cells], level, regions.grid), words, patients)
    few = min(count, 16)
    with clock(spent, "brute force"):
        inter = sum(_brute(maps[n], level, masks[n]) for n in range(few))
    known = np.isin(fast.patients, patients[:few])
    if few == count and not np.array_equal(fast.inter[known].sum(0), inter):
        raise SystemExit("brute force in float32 disagrees; use float64 to see which is right")
    with clock(spent, "published flow, without its forwards"):
        _published(maps[:few], masks[:few])
    per = {"brute force": few, "published flow, without its forwards": few}
    return {name: 1000 * seconds / per.get(name, count) for name, seconds in spent.items()} | {
        "active pairs": float((maps.max((2, 3)) > level).mean()),
        "cells looked at": len(cells) / (count * maps.shape[1] * (maps.shape[2] + 1) ** 2),
    }


def _brute(maps: np.ndarray, level: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """Every pixel of one film: upsample all units, compare, multiply with the masks."""
    big = F.interpolate(torch.from_numpy(maps)[None].double(), masks.shape[1:], mode="bilinear", align_corners=False)[0]
    fires = (big > torch.from_numpy(level)[:, None, None]).flatten(1).float()
    met: np.ndarray = (fires @ torch.from_numpy(masks).flatten(1).float().T).numpy().astype(np.int64)
    return met


class Sketch:
    """A quantile sketch by compactors (Karnin, Lang and Liberty 2016) for all units, as the published flow keeps."""

    def __init__(self, units: int, capacity: int = 3072) -> None:
        self._levels: list[list[np.ndarray]] = [[]]
        self._units, self._capacity = units, capacity

    def add(self, values: np.ndarray) -> None:
        """Take values (units, K)."""
        self._levels[0].append(values)
        for depth, kept in enumerate(self._levels):
            if sum(v.shape[1] for v in kept) < self._capacity:
                break
            joined = np.sort(np.concatenate(kept, axis=1), axis=1)
            if depth + 1 == len(self._levels):
                self._levels.append([])
            self._levels[depth + 1].append(joined[:, depth % 2 :: 2])
            self._levels[depth] = []

    def quantile(self, share: float) -> np.ndarray:
        """The value that so large a share lies below, (units,)."""
        values = np.concatenate([v for level in self._levels for v in level], axis=1)
        weights = np.concatenate([np.full(v.shape[1], 2.0**d) for d, level in enumerate(self._levels) for v in level])
        order = np.argsort(values, axis=1)
        cumulative = np.cumsum(weights[order], axis=1)
        at = (cumulative >= share * cumulative[:, -1:]).argmax(1)
        chosen: np.ndarray = np.take_along_axis(values, np.take_along_axis(order, at[:, None], 1), 1)[:, 0]
        return chosen


def _published(maps: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The published flow's counting: a sketch of the upsampled pixels, then means and variances given each concept."""
    units = maps.shape[1]
    side = PUBLISHED_SIZE
    small = np.stack([m[:, :: max(1, m.shape[1] // side), :: max(1, m.shape[2] // side)] for m in masks])

    def upsampled(n: int) -> torch.Tensor:
        big = F.interpolate(torch.from_numpy(maps[n : n + 1]), small.shape[2:], mode="bilinear", align_corners=False)
        return big[0].flatten(1)

    sketch = Sketch(units)
    for n in range(len(maps)):
        sketch.add(upsampled(n).numpy())
    level = torch.from_numpy(sketch.quantile(0.99))
    sums = torch.zeros((3, small.shape[1], units))
    for n in range(len(maps)):
        fires = (upsampled(n) > level[:, None]).float().T.contiguous()
        for c, mask in enumerate(torch.from_numpy(small[n]).flatten(1)):
            chosen = fires[mask]
            sums[0, c] += len(chosen)
            if len(chosen) > 0:
                sums[1, c] += chosen.mean(0) * len(chosen)
                sums[2, c] += ((chosen - chosen.mean(0)) ** 2).sum(0)
    return sums.numpy()


def whole(
    model: ChestModel, probes: ProbeSet, engine: Engine, shards: int = 1, reader: Reader | None = None
) -> dict[str, Any]:
    """Milliseconds a film of a whole dissection of all four blocks up to the counts, by part; bytes kept on disk."""
    spent: dict[str, float] = {}
    films, members = films_once([probes])
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(
            Path(folder), reader or Reader(model), tuple((n, model.layer(n)) for n in BLOCKS), films,
            (ConceptSet(probes.name, probes.concepts, members[0]),), Definition.KHAKZAR2021, shards,
        )  # fmt: skip
        with engine.on(plan) as running, Bars(False) as bars:
            passes = Passes(plan, running, bars)
            if isinstance(engine, Processes):
                running.run([], lambda _: None)
            with clock(spent, "reading, keeping cells, packing masks"):
                passes.read()
            for name in BLOCKS:
                with clock(spent, "thresholds"):
                    where, thresholds = passes.thresholds(0, name)
                with clock(spent, "counts"):
                    passes.counts(where, thresholds)
    told: dict[str, Any] = {name: 1000 * seconds / len(films) for name, seconds in spent.items()}
    told["whole"] = sum(told.values())
    return told | {"bytes": passes.effort.bytes / len(films), "again": list(passes.effort.again)}


def measure_one(options: argparse.Namespace) -> None:
    """One measurement in a process of its own: prints JSON."""
    torch.set_num_threads(options.threads)
    probes, model = probes_of(options.films), network(options.network)
    before = _peak()
    told: dict[str, Any] = {"forward": forward_ms(model, probes.films)}
    if options.one == "layers":
        told["layers"] = layer_costs(model, probes)
    else:
        engine: Engine = InProcess() if options.one == "whole" else Processes(2)
        told |= whole(model, probes, engine, 1 if options.one == "whole" else 4)
    print(json.dumps(told | {"peak_mb": _peak(), "before_mb": before}))


def _peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def ask(one: str, network: str, films: int, threads: int = 1) -> dict[str, Any]:
    """`measure_one` in a new process."""
    words = [sys.executable, __file__, "--one", one, "--network", network, "--films", str(films)]
    words += ["--threads", str(threads)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(words, env=environment, check=True, capture_output=True, text=True)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{one} {network} {films}: {json.dumps(told)[:400]}\n")
    return told


def main() -> None:
    """Measure everything, each in a process of its own, and write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", choices=["layers", "whole", "processes"])
    parser.add_argument("--network", default="compact")
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--memory", type=int, nargs="*", default=[100, 1000, 6000])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if options.one:
        measure_one(options)
        return
    layers = {name: ask("layers", name, 16 if name != "compact" else 64) for name in ("compact", "DenseNet-121")}
    wholes = {name: ask("whole", name, options.films) for name in ("compact", "DenseNet-121")}
    both = {name: ask("processes", name, options.films) for name in ("compact", "DenseNet-121")}
    memory = {count: ask("whole", "compact", count) for count in options.memory}
    options.out.write_text(document(layers, wholes, both, memory, options.films), encoding="utf-8")


def document(
    layers: dict[str, Any], wholes: dict[str, Any], both: dict[str, Any], memory: dict[int, Any], films: int
) -> str:
    """All tables as Markdown."""
    lines = [
        "# What dissection costs",
        "",
        f"One thread unless said; {platform.processor() or platform.machine()}, torch {version('torch')}, numpy "
        f"{version('numpy')}. A forward is the bare network on inputs in memory, 16 films at a time, in the same "
        "process. Films are NIH films, "
        f"those without masks in the masks of others; {CONCEPTS} concepts; 'DenseNet-121' has random weights. Costs "
        "are milliseconds a film and, in brackets, forwards of that network.",
        "",
        "## Counting one layer, from maps in memory",
        "",
        "Brute force upsamples every unit to the grid of the fast way and multiplies with all masks; the fast way "
        "gives the same integers. The published flow is a reimplementation: a quantile sketch over maps upsampled to "
        f"{PUBLISHED_SIZE} px, then means and variances of the indicator given each concept; it needs three forwards a "
        "film beside.",
        "",
        "| network | layer | units, grid | thresholds | tally | packing masks | brute force | published flow | "
        "cells looked at | active pairs |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, told in layers.items():
        shapes = network(name).layers
        for layer, costs in told["layers"].items():
            cells = [_cost(costs[k], told["forward"]) for k in ("thresholds", "tally", "packing masks", "brute force")]
            published = costs["published flow, without its forwards"]
            shape = f"{shapes[layer].units}, {shapes[layer].grid} × {shapes[layer].grid}"
            lines.append(
                f"| {name} | {layer} | {shape} | {' | '.join(cells)} | {_cost(published, told['forward'])} + 3 | "
                f"{costs['cells looked at']:.1%} | {costs['active pairs']:.0%} |"
            )
    lines += [
        "",
        f"## A whole dissection of four blocks, {films} films, without the permutations",
        "",
        "| network | engine | forward | reading, keeping cells, packing masks | thresholds | counts | whole | "
        "kept on disk a film | second forwards |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for engine, table in (("in process", wholes), ("two processes, four shards", both)):
        for name, told in table.items():
            parts = ("reading, keeping cells, packing masks", "thresholds", "counts", "whole")
            cells = [_cost(told[part], told["forward"]) for part in parts]
            lines.append(
                f"| {name} | {engine} | {told['forward']:.1f} ms | {' | '.join(cells)} | "
                f"{told['bytes'] / 1e6:.2f} MB | {', '.join(told['again']) or 'none'} |"
            )
    lines += [
        "",
        "## Memory, compact, four blocks",
        "",
        "Peak of the whole process, Python, torch and the model included (at its start: "
        f"{next(iter(memory.values()))['before_mb']:.0f} MB).",
        "",
        "| films | peak | kept on disk |",
        "| --- | --- | --- |",
    ]
    for count, told in memory.items():
        lines.append(f"| {count:,} | {told['peak_mb']:.0f} MB | {told['bytes'] * count / 1e9:.2f} GB |")
    return "\n".join([*lines, *_plan(both["DenseNet-121"], memory)]) + "\n"


def _plan(told: dict[str, Any], memory: dict[int, Any]) -> list[str]:
    """What the measured costs come to on all films of two public data sets, and what gives way first."""
    ms, kept = told["whole"], told["bytes"]
    grown = sorted(memory.items())
    slope = (grown[-1][1]["peak_mb"] - grown[0][1]["peak_mb"]) / (grown[-1][0] - grown[0][0])
    rows = [
        f"| {name} | {count:,} | {count * ms / 3.6e6:.1f} h | {count * ON_GPU / 3.6e6:.1f} h | "
        f"{count * ON_GPU / 8 / 6e4:.0f} min | {count * kept / 1e12:.2f} TB | {slope * count / 1e3:.1f} GB |"
        for name, count in PLANNED.items()
    ]
    return [
        "",
        "## A plan on paper: DenseNet-121, four blocks, every film with masks",
        "",
        f"Measured on two cores: {ms:.0f} ms a film and {kept / 1e6:.1f} MB kept a film for all blocks, without the "
        f"permutations. The main process grows by {1000 * slope:.0f} kB a film (masks of every film, for the null). On "
        f"one GPU with one worker: {ON_GPU} ms a film (dissection_gpu.md). Eight GPUs are that divided by eight, which "
        "was not measured.",
        "",
        "| data set | films | two cores | one GPU, one worker | eight GPUs | kept on disk | main process grows by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        "",
        "- What breaks first is the disk, in size: one block at a time divides it by the number of blocks, shards on "
        "several machines by the number of machines. And in speed: eight GPUs write "
        f"{8000 / ON_GPU * kept / 1e9:.1f} GB/s, and read it again at least once.",
        "- Then the masks of all films, which every worker that permutes them maps into memory; only films with masks "
        "count there, a few thousand in either data set today.",
        f"- Counters do not grow: patients beyond {GROUPS:,} are counted in as many groups.",
        "- Between machines go only answers: at most "
        f"{1024 * 4097 * 8 / 1e6:.0f} MB a shard and census of 1,024 units, and the tally of a shard's own patients.",
        "- A GPU's forward is not the limit: decoding films, and bringing cells to the host and to disk, are. So a GPU "
        "wants several workers (`--gpus 0.25` gives four of them one GPU), each with a core of its own.",
    ]


def _cost(ms: float, forward: float) -> str:
    return f"{ms:.1f} ms ({ms / forward:.2f})"


if __name__ == "__main__":
    main()
