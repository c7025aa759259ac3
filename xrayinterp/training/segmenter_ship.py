"""From nothing to the shipped segmenter: films, training, measurement, files."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..models.segmentation import STRUCTURES
from ..models.segmenter import NAME, Segmenter, SegmenterRecord, save_segmenter
from ..models.storage import as_stored
from ..models.unet import UNet
from .checkpoints import training_folder
from .segmenter import RECIPE, SegmenterRecipe, train
from .segmenter_films import PHANTOM_SEED, PHANTOMS, as_set, learnt, outlined_films, synthetic_films
from .segmenter_measure import dice_figures, dice_table

UNSEEN_PHANTOMS = 24


def make(folder: Path, recipe: SegmenterRecipe = RECIPE) -> None:
    """Train by `recipe`, or go on with what a broken run left, and write weights and record into `folder`."""
    network = trained(recipe)
    facts = {"size": recipe.size} | measured(network, recipe)
    save_segmenter(folder, network, facts)
    sys.stderr.write(f"{NAME}: {json.dumps(facts['measured'], indent=1)}\n")


def trained(recipe: SegmenterRecipe) -> UNet:
    """The finished run of `recipe`, trained now if it is not there, its kernels rounded as they are shipped."""
    done = training_folder() / f"{recipe.name}.pt"
    if not done.is_file():
        val = as_set(outlined_films("val"), recipe.detail)
        torch.save(train(recipe, learnt(recipe.detail), val, training_folder()).state_dict(), done)
    network = UNet(recipe.channels, len(STRUCTURES))
    stored = as_stored(recipe.name, torch.load(done, weights_only=True))
    network.load_state_dict({key: v.float() if v.is_floating_point() else v for key, v in stored.items()})
    return network.requires_grad_(False).eval()


def measured(network: UNet, recipe: SegmenterRecipe) -> dict[str, Any]:
    """The measured part of the record: val, which chose, and one look at test and at new synthetic films."""
    segmenter = Segmenter(network, SegmenterRecord(channels=recipe.channels, structures=STRUCTURES, size=recipe.size))
    val, test = outlined_films("val"), outlined_films("test")
    unseen = synthetic_films(UNSEEN_PHANTOMS, 256, PHANTOM_SEED + PHANTOMS)
    return {
        "tested_on": (
            f"{len(test)} films of {len({film.patient for film in test})} patients unseen in training: "
            "test split of the Cohen and Hannover collections"
        ),
        "measured": {
            "test": dice_figures(test, segmenter),
            "synthetic": dice_figures(unseen, segmenter)["all"],
            "val_dice": dict(zip(STRUCTURES, np.nanmean(dice_table(val, segmenter), axis=0).tolist(), strict=True)),
        },
    }
