"""The recipes of the built-in models; changing one changes what `make embedded` makes."""

from __future__ import annotations

from dataclasses import replace

from ..models.architectures import DenseNetShape
from .augment import Augmentation
from .loop import Recipe, Stage

DETAIL = 128
"""Films are reduced to this side in pixels: most NIH films at hand have no more."""
SIZE = 224
"""Input side of the finished models."""
WIDE = DenseNetShape(growth=24, blocks=(4, 8, 12, 8), stem=48)
DEEP = DenseNetShape(growth=16, blocks=(6, 12, 24, 16), stem=32)

GENTLE = Augmentation(rotation=7, zoom=0.1, shift=0.05, contrast=0.2, gamma=0.2, mirror=0.0)
"""Never mirrored: the heart stays on its side."""

TEACHERS = (
    Recipe("teacher-0", WIDE, (Stage(128, 8), Stage(160, 12)), scored=14, seed=0),
    Recipe("teacher-1", DEEP, (Stage(128, 8), Stage(160, 12)), scored=14, seed=1),
)
"""Two networks that differ in shape and seed; together they are the better labels `compact` learns from."""

TEACHER_AT_FULL_SIZE = Recipe("teacher-2", DEEP, (Stage(SIZE, 10),), scored=14, seed=10, rate=2.5e-3, soft=0.7)
"""Starts from the deep teacher and learns, at full input size, from labels and from both teachers."""

COMPACT = Recipe(
    "compact",
    DenseNetShape(growth=20, blocks=(4, 8, 12, 8), stem=40),
    (Stage(160, 6), Stage(SIZE, 14)),
    scored=14,
    seed=11,
    soft=0.5,
    rarity=0.5,
    augmentation=GENTLE,
)
"""From scratch, on labels mixed evenly with what the three teachers say of the same film; never mirrored."""

WEAK_TEACHERS = (
    Recipe("weak-0", WIDE, (Stage(128, 6), Stage(160, 12)), scored=1, seed=40, augmentation=GENTLE),
    Recipe("weak-1", DEEP, (Stage(128, 6), Stage(160, 12)), scored=1, seed=41, augmentation=GENTLE),
    Recipe(
        "weak-2",
        DenseNetShape(growth=16, blocks=(4, 8, 12, 8), stem=32),
        (Stage(160, 6), Stage(SIZE, 9)),
        scored=1,
        seed=21,
        augmentation=GENTLE,
    ),
)
"""Three networks that know any finding or none, and nothing else: none ever sees the name of a finding."""

WEAK = replace(COMPACT, name="weak", scored=1, seed=42, soft=0.7, rarity=0.0)
"""Like `compact`, on the one label and on what its three teachers, who saw no other, say of the same film."""

SHUFFLED = replace(
    COMPACT,
    name="shuffled",
    stages=(Stage(128, 5), Stage(SIZE, 1)),
    seed=30,
    soft=0.0,
    rarity=0.0,
    augmentation=Augmentation(),
)
"""The control: the fourteen labels handed to other patients, so that nothing can be learned from them."""

BRIXIA_EPOCHS = 30
BRIXIA_RATE = 4e-4
BRIXIA_FOLDS = 5
BRIXIA_AUGMENTATION = Augmentation(mirror=0.0)
"""No mirroring: zones A to C lie on the image left, D to F on the image right."""
