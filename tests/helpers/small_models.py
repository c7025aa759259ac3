"""Small random networks as a publisher and as training would leave them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from helpers.closed_form import SIZE, random_densenet
from torch import nn

from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.models.storage import save_builtin
from xrayinterp.models.xrv import torchxrayvision


def small_network(outputs: int, seed: int = 0) -> DenseNet:
    """A small float32 DenseNet with random weights and batch statistics."""
    return random_densenet(seed, outputs=outputs).float()


def published_network(shape: DenseNetShape, columns: int, seed: int = 0) -> nn.Module:
    """torchxrayvision's own DenseNet of that size, with random weights and batch statistics, in eval mode."""
    module: nn.Module = torchxrayvision().models.DenseNet(
        growth_rate=shape.growth,
        block_config=shape.blocks,
        num_init_features=shape.stem,
        bn_size=shape.bottleneck,
        num_classes=columns,
    )
    module.load_state_dict(random_densenet(seed, outputs=columns, shape=shape).float().state_dict())
    return module.eval()


def published_logits(module: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits of torchxrayvision's network by its own code, before its sigmoid."""
    with torch.no_grad():
        logits: torch.Tensor = module.classifier(module.features2(x))  # type: ignore[operator]
    return logits


def write_small_builtin(
    folder: Path, name: str = "compact", findings: Sequence[str] = ("Effusion", "Mass", "Nodule"), **fields: Any
) -> Path:
    """A built-in model of random weights in `folder`, as training would leave it."""
    point = {"threshold": 0.25, "sensitive": -0.5, "specific": 1.0, "measured_on": "val"}
    calibration = {"slope": 1.1, "intercept": -0.2, "prevalence": 0.1, "ece": 0.02, "fitted_on": "val"}
    facts: dict[str, Any] = {
        "findings": list(findings),
        "size": SIZE,
        "scale": 1.0,
        "detail": 32,
        "task": "findings",
        "operating_points": {findings[0]: point},
        "calibrations": {findings[0]: calibration},
        "metrics": {
            findings[0]: {"auroc": [0.8, 0.75, 0.85], "patients": 40, "measured_on": "test", "assessed": True},
            findings[1]: {"auroc": None, "patients": 3, "measured_on": "test", "assessed": False},
        },
        "tested_on": "random numbers",
        "measured": {"mean_auroc": [0.5, 0.4, 0.6]},
    }
    return save_builtin(folder, name, small_network(len(findings)), facts | fields)
