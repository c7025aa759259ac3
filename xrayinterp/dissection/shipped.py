"""The atlases shipped with the built-in models: made of films the models have not seen, numbers only.

`python -m xrayinterp.dissection.shipped` rebuilds them, as the last step of `make embedded`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from ..concepts.probes import ProbeFilm, load_probe_set
from ..models.architectures import DenseNet
from ..models.chest_model import ChestModel
from ..models.zoo import load_model
from ..training.checkpoints import training_folder
from ..training.recipes import COMPACT
from .atlas import Atlas
from .engines import Processes
from .io import save_atlas
from .network import dissect
from .shelf import builtin_folder

UNSEEN = ("probe", "val", "test")
"""Splits of mask films no built-in model was trained on."""
LAYERS = ("norm5", "denseblock3", "denseblock2", "denseblock1")
PERMUTATIONS = 200


def build(names: Sequence[str] = ("compact", "weak", "brixia"), seed: int = 0) -> list[Atlas]:
    """Dissect built-in models and ship the atlases.

    On `covid-segmentation`, `brixia` is dissected out of fold: each film's maps come from the fold model that was not
    trained on that patient. No built-in model was trained on masks.
    """
    made = []
    engine = Processes(os.cpu_count() or 1)  # figures are the same on any number
    findings = load_probe_set("chestx-det", splits=UNSEEN)
    anatomy = load_probe_set("covid-segmentation")
    for name in names:
        model = load_model(name)
        run = partial(dissect, model, layers=LAYERS, permutations=PERMUTATIONS, seed=seed, engine=engine)
        made.append(run(findings))
        made.append(run(anatomy, model_for=_Folds(model) if name == "brixia" else None, probe_seen="no"))
    made = [_without_film_names(atlas) for atlas in made]
    for atlas in made:
        save_atlas(atlas, builtin_folder() / f"{atlas.model}.{atlas.probe}.parquet")
    return made


class _Folds:
    """The network of the cross-validation fold that has not seen a film's patient."""

    def __init__(self, model: ChestModel) -> None:
        folder = training_folder()
        self._fold: dict[str, int] = json.loads((folder / "brixia-folds.json").read_text(encoding="utf-8"))
        self._modules: list[nn.Module] = []
        for k in range(max(self._fold.values()) + 1):
            module = DenseNet(COMPACT.shape, len(model.findings))
            module.load_state_dict(torch.load(folder / f"brixia-fold{k}.pt", weights_only=True))
            self._modules.append(module.eval().requires_grad_(False))

    def __call__(self, film: ProbeFilm) -> nn.Module:
        return self._modules[self._fold[film.patient]]


def _without_film_names(atlas: Atlas) -> Atlas:
    return replace(atlas, rows=tuple(replace(row, exemplars=()) for row in atlas.rows))


if __name__ == "__main__":
    build()
