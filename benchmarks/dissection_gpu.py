"""How many films a second a dissection of DenseNet-121's four blocks takes in on an accelerator, stage by stage.

Writes dissection_gpu.md beside this file. Needs XRAYINTERP_DATA and a GPU; the folder for temporary files (TMPDIR)
should be one in memory. Films are NIH films in the masks of others; the network has random weights, as costs do not
depend on them. All workers share one GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dissection_cost import BLOCKS, CONCEPTS, network, probes_of, whole

from xrayinterp.concepts.probes import ProbeFilm
from xrayinterp.dissection.device import cells_above_on, floor_on
from xrayinterp.dissection.engines import Engine, InProcess, Processes
from xrayinterp.dissection.maps import Reader
from xrayinterp.dissection.shard import KEPT
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.operators.taps import feature_maps

RESULT = Path(__file__).with_suffix(".md")
DEVICE = torch.device("cuda")


def films_a_second(work: Callable[[], object], films: int, repeats: int) -> float:
    """Films a second of `work`, which handles so many; once before to warm up."""
    work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return films * repeats / (time.perf_counter() - start)


def stages(model: ChestModel, films: Sequence[ProbeFilm], batch: int) -> dict[str, float]:
    """Films a second of each stage by itself, in one process."""
    reader = Reader(model, batch=batch, device=DEVICE)
    module = reader._placed(model.module)
    layers = [model.layer(name) for name in BLOCKS]
    paths = [layer.path for layer in layers]
    start = time.perf_counter()
    loaded = reader._inputs(films[:batch])
    out = {"loading films, one core": batch / (time.perf_counter() - start)}
    x = loaded.to(DEVICE).contiguous(memory_format=torch.channels_last)
    module = module.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        out["bare forward"] = films_a_second(lambda: module(x), batch, 10)
        with torch.autocast("cuda", torch.bfloat16):
            out["bare forward, bfloat16 (not used: thresholds are exact in float32)"] = films_a_second(
                lambda: module(x), batch, 10
            )
    out["forward with the maps of four blocks"] = films_a_second(lambda: feature_maps(module, x, paths), batch, 10)
    _, read = feature_maps(module, x, paths)
    maps = [read[path].float() for path in paths]
    floors = [floor_on([part], KEPT) for part in maps]
    numbers = np.arange(batch, dtype=np.int32)

    def kept() -> list[int]:
        return [len(cells_above_on(part, floor, numbers)) for part, floor in zip(maps, floors, strict=True)]

    out["cells above the floor, to the host"] = films_a_second(kept, batch, 3)
    return out | {"cells a film": sum(kept()) / batch}


def main() -> None:
    """Measure and write the document."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=2048)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 14])
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write(f"{RESULT.name} is left as it is: there is no accelerator.\n")
        return
    torch.set_num_threads(1)
    probes, model = probes_of(options.films), network("DenseNet-121")
    told = stages(model, probes.films, options.batch)
    print(told, file=sys.stderr, flush=True)
    wholes: dict[int, dict[str, Any]] = {}
    for workers in options.workers:
        engine: Engine = InProcess() if workers == 1 else Processes(workers)
        reader = Reader(model, batch=options.batch if workers == 1 else 32, device=DEVICE)
        part = probes if workers > 1 else probes_of(min(options.films, 512))
        wholes[workers] = whole(model, part, engine, workers, reader) | {"films": len(part.films)}
        print(workers, wholes[workers], file=sys.stderr, flush=True)
    options.out.write_text(document(told, wholes), encoding="utf-8")


def document(told: dict[str, float], wholes: dict[int, dict[str, Any]]) -> str:
    """The tables as Markdown."""
    card = torch.cuda.get_device_name()
    lines = [
        "# Dissection on one accelerator",
        "",
        f"{card}, {os.cpu_count()} processor cores, torch {version('torch')}. DenseNet-121 (random weights) at 224, "
        f"all four blocks, {CONCEPTS} concepts. Convolutions as torch sets them (TF32), batches of 32 to 128.",
        "",
        "| stage, by itself | films/s |",
        "| --- | --- |",
        *(f"| {name} | {value:,.0f} |" for name, value in told.items() if name != "cells a film"),
        "",
        f"{told['cells a film']:,.0f} cells a film are kept for all blocks.",
        "",
        "## A whole dissection up to the counts",
        "",
        "| workers | films | whole | reading | thresholds | counts | kept a film | second forwards |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for workers, one in wholes.items():
        parts = ("whole", "reading, keeping cells, packing masks", "thresholds", "counts")
        speeds = [f"{1000 / one[part]:,.0f} films/s" for part in parts]
        lines.append(
            f"| {workers} | {one['films']:,} | {' | '.join(speeds)} | {one['bytes'] / 1e6:.2f} MB | "
            f"{', '.join(one['again']) or 'none'} |"
        )
    fastest = max(1000 / one["whole"] for one in wholes.values())
    lines += [
        "",
        f"The goal of 2,000 films/s is {'met' if fastest >= 2000 else 'not met'}. What limits a worker is not the GPU: "
        "a forward with all maps is the fastest stage of all. Every film's cells have to be found, brought to the host "
        "and written to disk, so that memory stays bounded however many films there are, and be brought back once a "
        "layer for the search, where they then stay; and every film has to be decoded by a processor core. Workers "
        "divide all of this between them, since a GPU serves several.",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
