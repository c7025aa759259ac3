"""What each attribution method costs, beside captum, zennit and pytorch-grad-cam, in forwards of the same model.

Writes attribution.md beside this file. Every case runs in a process of its own: one thread, a DenseNet-121 of random
weights on one 224 px film, CPU time, least of several runs; the forward it is divided by is measured in that process,
before and after. `--only NAME …` measures some cases and prints them. A second table has the memory of 16 films.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Target, attribute, attribute_many
from xrayinterp.evaluation.lamps import LAMPS
from xrayinterp.evaluation.readings import Subject, measured
from xrayinterp.evaluation.references import Films
from xrayinterp.evaluation.untrained import untrained
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.models.chest_model import ChestModel
from xrayinterp.models.zoo import load_model
from xrayinterp.semantics import split

RESULT = Path(__file__).with_suffix(".md")
SEED = 0
SIZE = 224
OUTPUTS = 18
TARGET = 7
FILMS = 16
"""Films in the batch whose memory is measured."""
MEMORY = 2200
"""Goal for it, in MB above a forward of as many."""
SECONDS = 6.0
"""CPU time after which a case is not repeated again."""
ALLOCATOR = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "8589934592",
    "MALLOC_TOP_PAD_": "268435456",
    "OMP_NUM_THREADS": "1",
}
"""The allocator keeps its pages, for ours and peers alike: page faults otherwise cost as much as arithmetic."""
GOALS = {
    "gradient": 2.4,
    "input_x_gradient": 2.4,
    "guided_backprop": 2.4,
    "rectgrad": 3.2,
    "gradcam": 1.15,
    "gradcam_signed": 1.15,
    "gradcampp": 1.15,
    "hirescam": 1.15,
    "fullgrad": 3.0,
    "lrp_epsilon_plus": 3.8,
    "smoothgrad": 36.0,
    "integrated_gradients, 48 nodes": 68.0,
    "integrated_gradients, to 1 %": 45.0,
    "occlusion": 500.0,
    "pathway_gradient": 6.0,
    "prunegrad_pgd": 130.0,
    "all single-pass methods": 26.0,
    "trust strip, gradcam_signed": 60.0,
    "trust strip, gradient": 60.0,
}
PEERS = ("captum", "zennit", "grad-cam")
"""How the names of peers' rows begin."""


@dataclass(frozen=True)
class Case:
    """One row: what is run on (model, x); `group` brings ours and peers' together."""

    name: str
    group: str
    run: Callable[[nn.Module, Tensor], object]
    seconds: float = SECONDS


@dataclass(frozen=True)
class Cost:
    """CPU milliseconds of the case and of a forward, their ratio, and how far the peak memory rose, in MB."""

    name: str
    milliseconds: float
    forward: float
    forwards: float
    extra: float


def network() -> DenseNet:
    """DenseNet-121 with one grey channel; random weights, and random statistics, so that biases are not all zero."""
    torch.manual_seed(SEED)
    model = DenseNet(DenseNetShape(growth=32, blocks=(6, 12, 24, 16), stem=64), OUTPUTS)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval().requires_grad_(False)


def film(count: int = 1) -> Tensor:
    """So many films, (count, 1, 224, 224)."""
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(SEED)) * 2 - 1


def ours(method: str, name: str | None = None, **options: Any) -> Case:
    """A method of this package."""
    return Case(name or method, method, lambda model, x: attribute(model, x, TARGET, method, **options))


def single_pass() -> Case:
    """Every method that needs one forward and a few backwards, for one finding, together."""
    names = [name for name, method in METHODS.items() if method.single and method.family not in ("baseline", "pathway")]
    return Case(
        "all single-pass methods", "together", lambda model, x: attribute_many(model, x, [Target(TARGET)], names)
    )


def captum_cases() -> list[Case]:
    """captum's methods, at its defaults where they run."""
    from captum import attr

    def layer_gradcam(model: nn.Module, x: Tensor) -> object:
        return attr.LayerGradCam(model, model.features.norm5).attribute(x, TARGET)

    def occlusion(model: nn.Module, x: Tensor) -> object:
        return attr.Occlusion(model).attribute(x, (1, 15, 15), strides=(1, 8, 8), target=TARGET)

    def noisy(model: nn.Module, x: Tensor) -> object:
        tunnel = attr.NoiseTunnel(attr.Saliency(model))
        return tunnel.attribute(x, nt_samples=25, nt_samples_batch_size=5, target=TARGET)

    def integrated(model: nn.Module, x: Tensor) -> object:
        return attr.IntegratedGradients(model).attribute(x, target=TARGET, n_steps=48, internal_batch_size=10)

    return [
        Case("captum Saliency", "gradient", lambda m, x: attr.Saliency(m).attribute(x, TARGET)),
        Case("captum InputXGradient", "input_x_gradient", lambda m, x: attr.InputXGradient(m).attribute(x, TARGET)),
        Case("captum GuidedBackprop", "guided_backprop", lambda m, x: attr.GuidedBackprop(m).attribute(x, TARGET)),
        Case("captum LayerGradCam", "gradcam", layer_gradcam),
        Case("captum SmoothGrad 25", "smoothgrad", noisy),
        Case("captum IntegratedGradients, 48 nodes", "integrated_gradients", integrated),
        Case("captum Occlusion", "occlusion", occlusion),
    ]


def zennit_cases() -> list[Case]:
    """zennit's composites; batch normalisation passed through, since its canonizer fails on DenseNet."""
    from zennit.attribution import Gradient, SmoothGrad
    from zennit.composites import EpsilonPlus, GuidedBackprop

    def one_hot(logits: Tensor) -> Tensor:
        return torch.eye(OUTPUTS)[[TARGET]].expand_as(logits) * logits

    def ruled(composite: Callable[[], Any]) -> Callable[[nn.Module, Tensor], object]:
        def run(model: nn.Module, x: Tensor) -> object:
            with Gradient(model, composite()) as attributor:
                return attributor(x, one_hot)

        return run

    def smooth(model: nn.Module, x: Tensor) -> object:
        with SmoothGrad(model, noise_level=0.1, n_iter=25) as attributor:
            return attributor(x, one_hot)

    return [
        Case("zennit Gradient", "gradient", ruled(lambda: None)),
        Case("zennit GuidedBackprop", "guided_backprop", ruled(GuidedBackprop)),
        Case("zennit EpsilonPlus", "lrp_epsilon_plus", ruled(EpsilonPlus)),
        Case("zennit SmoothGrad 25", "smoothgrad", smooth),
    ]


def gradcam_cases() -> list[Case]:
    """pytorch-grad-cam's methods."""
    import pytorch_grad_cam as cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    def run(kind: Any) -> Callable[[nn.Module, Tensor], object]:
        def once(model: nn.Module, x: Tensor) -> object:
            with kind(model=model, target_layers=[model.features.norm5]) as method:
                return method(input_tensor=x, targets=[ClassifierOutputTarget(TARGET)])

        return once

    return [
        Case("grad-cam GradCAM", "gradcam", run(cam.GradCAM)),
        Case("grad-cam GradCAMPlusPlus", "gradcampp", run(cam.GradCAMPlusPlus)),
        Case("grad-cam HiResCAM", "hirescam", run(cam.HiResCAM)),
        Case("grad-cam FullGrad", "fullgrad", run(cam.FullGrad)),
        Case("grad-cam AblationCAM", "ablation_cam", run(cam.AblationCAM)),
    ]


def strip(method: str) -> Case:
    """All lamps for one map of one film, on a chest model of this architecture; films to compare with are prepared."""

    def run(model: nn.Module, x: Tensor) -> object:
        subject = _subject(method, x)
        return [measured(subject, lamp) for lamp in LAMPS]

    return Case(f"trust strip, {method}", "trust strip", run, seconds=20)  # the first run prepares the films


def lamps(method: str) -> list[Case]:
    """Each lamp of that strip alone, the map and the film's own score at hand."""

    def alone(lamp: str) -> Case:
        def run(model: nn.Module, x: Tensor) -> object:
            return measured(_with_map(method), lamp)

        return Case(f"{lamp}, {method}", "lamps", run)

    return [alone(lamp) for lamp in LAMPS]


@cache
def _first(method: str) -> Subject:
    subject = _subject(method, film())
    subject.forward.cut()
    _ = subject.values, subject.film_maps
    return subject


def _with_map(method: str) -> Subject:
    """A subject that knows its map and nothing else yet."""
    known = _first(method)
    subject = replace(known)
    subject.__dict__.update({"values": known.values, "film_maps": known.film_maps})
    return subject


def _subject(method: str, x: Tensor) -> Subject:
    chest = _chest()
    forward = Forward(chest, x)
    return Subject(
        forward=forward,
        model=chest,
        finding=chest.findings[TARGET],
        method=method,
        settings=METHODS[method].settings({}),
        films=_films(),
        semantic=lambda: split(chest, *_last_map(forward), chest.findings[TARGET], ()),
        seed=SEED,
    )


@cache
def _chest() -> ChestModel:
    return untrained(load_model("compact"))


@cache
def _films() -> Films:
    return Films(_chest())


def _last_map(forward: Forward) -> tuple[Tensor, Tensor]:
    cut = forward.cut()
    return cut.maps.detach(), cut.logits.detach()


def cases() -> list[Case]:
    """Every row, ours before its peers."""
    from_method = [
        ours(name) for name in METHODS if name not in ("integrated_gradients",) and METHODS[name].family != "baseline"
    ]
    integrated = [
        ours("integrated_gradients", "integrated_gradients, 48 nodes", steps=48, tolerance=0.0),
        ours("integrated_gradients", "integrated_gradients, to 1 %", tolerance=0.01),
    ]
    together = [single_pass(), strip("gradcam_signed"), strip("gradient")]
    together += [*lamps("gradcam_signed"), *lamps("gradient")]
    return [*from_method, *integrated, *together, *captum_cases(), *zennit_cases(), *gradcam_cases()]


def cpu_ms(run: Callable[[], object], seconds: float = SECONDS, most: int = 9) -> float:
    """Least CPU milliseconds of up to `most` runs, after one that is not counted where it is short."""
    start = time.process_time()
    run()
    taken = [time.process_time() - start]
    while len(taken) < most and sum(taken) < seconds:
        start = time.process_time()
        run()
        taken.append(time.process_time() - start)
    return min(taken) * 1000


def measure(case: Case) -> Cost:
    """The cost of one case, in this process."""
    torch.set_num_threads(1)
    model, x = network(), film()

    def forward() -> Tensor:
        with torch.inference_mode():
            result: Tensor = model(x)
        return result

    before = cpu_ms(forward, seconds=1.5, most=15)
    low = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if not case.name.startswith(PEERS):
        taken = cpu_ms(lambda: case.run(model, x), case.seconds)
    else:
        taken = cpu_ms(lambda: case.run(model, x.clone().requires_grad_()))
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - low) / 1000
    yardstick = min(before, cpu_ms(forward, seconds=1.5, most=15))
    return Cost(case.name, taken, yardstick, taken / yardstick, extra)


def memory(method: str) -> float:
    """How far the peak memory of this process rises above a forward's when 16 films are explained at once, in MB."""
    torch.set_num_threads(1)
    model, x = network(), film(FILMS)
    with torch.inference_mode():
        model(x)
    low = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attribute(model, x, TARGET, method)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - low) / 1000


def memory_table() -> list[str]:
    """A Markdown table of all methods that cost less than 20 forwards."""
    lines = [f"| method, {FILMS} films at once | extra MB | goal | met |", "|---|---|---|---|"]
    for name in (name for name, method in METHODS.items() if method.cost < 20 and method.family != "baseline"):
        extra = float(_apart("--memory", name).stdout)
        lines.append(f"| {name} | {extra:.0f} | {MEMORY} | {'yes' if extra <= MEMORY else '**no**'} |")
        sys.stderr.write(lines[-1] + "\n")
    return lines


def measured_apart(name: str) -> Cost | str:
    """The cost of a case in a fresh process, or the last line of its complaint."""
    done = _apart("--case", name)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


def _apart(what: str, name: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, __file__, what, name],
        env=os.environ | ALLOCATOR,
        capture_output=True,
        text=True,
        check=False,
    )


def table(rows: list[tuple[Case, Cost | str]]) -> list[str]:
    """A Markdown table, ours and peers' side by side by group."""
    lines = ["| case | forwards | ms | extra MB | goal | met |", "|---|---|---|---|---|---|"]
    for group in dict.fromkeys(case.group for case, _ in rows):
        for case, cost in rows:
            if case.group != group:
                continue
            if isinstance(cost, str):
                lines.append(f"| {case.name} | fails: {cost[:110].replace('|', '/')} | | | | |")
                continue
            goal = GOALS.get(case.name)
            met = "" if goal is None else "yes" if cost.forwards <= goal else "**no**"
            shown = "" if goal is None else f"{goal:g}"
            figures = f"{cost.forwards:.2f} | {cost.milliseconds:.0f} | {cost.extra:.0f}"
            lines.append(f"| {case.name} | {figures} | {shown} | {met} |")
    return lines


def main(arguments: list[str]) -> None:
    """Measure all cases and write the table; `--case NAME` measures one here, `--only NAME …` some, printed."""
    known = {case.name: case for case in cases()}
    if arguments[:1] == ["--case"]:
        sys.stdout.write(json.dumps(asdict(measure(known[arguments[1]]))) + "\n")
        return
    if arguments[:1] == ["--memory"]:
        sys.stdout.write(f"{memory(arguments[1])}\n")
        return
    chosen = arguments[1:] if arguments[:1] == ["--only"] else list(known)
    rows: list[tuple[Case, Cost | str]] = []
    for name in chosen:
        rows.append((known[name], measured_apart(name)))
        sys.stderr.write(f"{name}: {rows[-1][1]}\n")
    packages = ("torch", "captum", "zennit", "grad-cam", "xrayinterp")
    text = [
        "# Cost of attribution",
        "",
        f"DenseNet-121 of random weights (seed {SEED}), one film 1 x {SIZE} x {SIZE}, batch 1, one thread, CPU time, "
        "least of up to nine runs within six seconds (strips: twenty); every case in its own process, in forwards "
        "measured there. "
        f"Allocator keeps its pages in all of them ({', '.join(f'{k}={v}' for k, v in ALLOCATOR.items())}). "
        "Extra MB: how far the process's peak memory rose above that of a forward.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, "
        + ", ".join(f"{package} {version(package)}" for package in packages)
        + ".",
        "",
        *table(rows),
        "",
    ]
    if not arguments:
        text += [
            "Lamps alone: with the map, the film's own score and the maps of the films to compare with at hand. Below, "
            f"how far the peak memory rises above that of a forward of the same {FILMS} films.",
            "",
            *memory_table(),
            "",
        ]
    if arguments[:1] == ["--only"]:
        sys.stdout.write("\n".join(text))
    else:
        RESULT.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
