"""Miniature copies of public sets of pictures, as their makers lay them out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
from helpers.replicas import grey, picture, write


def coloured(seed: int, height: int = 24, width: int = 24) -> np.ndarray:
    """Random colours, uint8 (height, width, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def idx(path: Path, values: np.ndarray) -> None:
    """A file as MNIST's makers write it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    path.write_bytes(head + values.tobytes())


def mnist(root: Path, name: str = "MNIST") -> None:
    """Forty pictures for training and twenty for the test, classes in turn."""
    for seed, (split, count) in enumerate((("train", 40), ("t10k", 20))):
        pixels = np.random.default_rng(seed).integers(0, 256, (count, 28, 28), dtype=np.uint8)
        idx(root / name / "raw" / f"{split}-images-idx3-ubyte", pixels)
        idx(root / name / "raw" / f"{split}-labels-idx1-ubyte", (np.arange(count) % 10).astype(np.uint8))


def fashion_mnist(root: Path) -> None:
    """The same under another name."""
    mnist(root, "FashionMNIST")


def cifar10(root: Path) -> None:
    """Six batches of ten pictures."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for seed, name in enumerate((*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")):
        data = np.random.default_rng(seed).integers(0, 256, (10, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": list(range(10))}))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": [str(i) for i in range(10)]}))


def mvtec(root: Path) -> None:
    """Two objects; one has a picture with two masks beside it and one with two in a folder."""
    for name in ("bottle", "screw"):
        home = root / "mvtec_anomaly_detection" / name
        for i in range(4):
            picture(home / "train/good" / f"{i:03}.png", coloured(i))
        for i in range(2):
            picture(home / "test/good" / f"{i:03}.png", coloured(10 + i))
            for kind in ("broken", "dirty"):
                picture(home / "test" / kind / f"{i:03}.png", coloured(20 + i))
        for number, kind in enumerate(("broken", "dirty")):
            picture(home / "ground_truth" / kind / "000_mask.png", square(4 * number))
            picture(home / "ground_truth" / kind / "001_mask.png", square(8))
        picture(home / "ground_truth/broken/001_mask_1.png", square(16))
        (home / "ground_truth/dirty/001_mask.png").unlink()
        for i in range(2):
            picture(home / "ground_truth/dirty/001" / f"{i:03}.png", square(8 * i))


def square(start: int, size: int = 24) -> np.ndarray:
    """A white square of four pixels on black."""
    out = np.zeros((size, size), dtype=np.uint8)
    out[start : start + 4, start : start + 4] = 255
    return out


def retinal_oct(root: Path) -> None:
    """Two patients a class and split; one healthy patient is on both sides, as among those published."""
    for split, first in (("train", 100), ("test", 200)):
        for number, name in enumerate(("CNV", "DME", "DRUSEN", "NORMAL")):
            for i in range(4):
                path = root / "OCT2017" / split / name / f"{name}-{first + 10 * number + i // 2}-{i + 1}.jpeg"
                picture(path, grey(i, 20, 30))
    picture(root / "OCT2017/train/NORMAL/NORMAL-230-9.jpeg", grey(9, 20, 30))


def head_ct(root: Path) -> None:
    """Ten slices, the first five with a haemorrhage."""
    write(root / "archive/labels.csv", "id, hemorrhage", [(i, f" {int(i < 5)}") for i in range(10)])
    for i in range(10):
        picture(root / "archive/head_ct/head_ct" / f"{i:03}.png", coloured(i, 30 + i, 25))


def brain_mri(root: Path) -> None:
    """Ten slices without and five with a tumour, once more in a folder below."""
    for home in (root / "mri", root / "mri/brain_tumor_dataset"):
        for i in range(10):
            picture(home / "no" / f"{i} no.jpg", grey(i))
        for i in range(5):
            picture(home / "yes" / f"Y{i}.JPG", grey(20 + i))


def folder(root: Path) -> None:
    """Ten normal pictures and two kinds of others, without splits."""
    for name, count in (("normal", 10), ("cracked", 3), ("stained", 2)):
        for i in range(count):
            picture(root / name / f"{i}.png", coloured(i))


PICTURE_REPLICAS: dict[str, Callable[[Path], None]] = {
    "brain-mri": brain_mri,
    "cifar10": cifar10,
    "fashion-mnist": fashion_mnist,
    "folder": folder,
    "head-ct": head_ct,
    "mnist": mnist,
    "mvtec": mvtec,
    "retinal-oct": retinal_oct,
}
