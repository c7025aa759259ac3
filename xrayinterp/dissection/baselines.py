"""What a dissection is to be compared with: the same network with weights that never learnt."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import nn

from ..models.chest_model import ChestModel


def randomised(model: ChestModel, seed: int = 0) -> ChestModel:
    """The model with random weights: convolutions drawn as He et al. (2015), batch norms and the rest as at birth.

    The original is left as it is. Operating points, calibration and hash do not carry over.
    """
    module = copy.deepcopy(model.module)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in module.modules():
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
            elif callable(reset := getattr(part, "reset_parameters", None)):
                reset()
    return replace(
        model,
        name=f"{model.name} (random weights, seed {seed})",
        module=module.eval().requires_grad_(False),
        card=replace(model.card, sha256=None, measured={}),
        operating_points={},
        calibrations={},
        metrics={},
    )
