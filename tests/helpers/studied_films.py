"""A data root of small synthetic films in the layout of NIH and of the Cohen collection, with masks and scores."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from PIL import Image

from xrayinterp.datasets.films import load_manifest

SIDE = 48
_SPLITS = (("train", 48), ("val", 8), ("probe", 16), ("test", 32))
_BITS = {"Effusion": 5, "Consolidation": 3}
_ZONES = "ABCDEF"


def studied_root(root: Path) -> Path:
    """NIH films of which every other one shows a bright corner (Effusion) or spot (Consolidation), and scored films.

    Two films a patient. On Cohen films the opacity is as bright as the score says; half of them have masks.
    """
    _nih(root)
    _cohen(root)
    return root


def _nih(root: Path) -> None:
    findings = load_manifest("nih").findings
    rows = []
    for split, count in _SPLITS:
        for i in range(count):
            shown = ("", "Effusion", "", "Consolidation")[i % 4]
            name = f"{split}{i:03}"
            picture, mask = _film(len(rows), shown, 0.85)
            _save(root / "nih" / f"{name}.png", picture)
            Image.fromarray(mask.astype(np.uint16) << _BITS.get(shown, 0)).save(
                _made(root / "nih/masks") / f"{name}.png"
            )
            row = {
                "image_id": name,
                "file": f"nih/{name}.png",
                "patient_id": f"{split}{i // 2}",
                "view": ("PA", "AP")[i // 2 % 2],
                "sex": "MF"[i % 2],
                "age": 40 + i % 30,
                "native_w": 256,
                "split": split,
                "mask_file": f"nih/masks/{name}.png",
                "No Finding": int(not shown),
                "licence": "made",
            }
            rows.append(row | {finding: int(finding == shown) for finding in findings})
    _table(root / "nih.csv", rows)


def _cohen(root: Path) -> None:
    rows = []
    for i in range(40):
        name, split = f"c{i:03}", ("train", "train", "val", "test")[i // 2 % 4]
        score = i % 4
        picture, mask = _film(1000 + i, "Consolidation" if score else "", 0.4 + 0.15 * score)
        _save(root / "cohen" / f"{name}.png", picture)
        bits = (mask.astype(np.uint16) << 5) | 0b11  # consolidation; lungs everywhere
        Image.fromarray(bits).save(_made(root / "cohen/masks") / f"{name}.png")
        row = {
            "image_id": name,
            "file": f"cohen/{name}.png",
            "patient_id": f"c{i // 2}",
            "view": "AP",
            "sex": "M",
            "age": 60,
            "native_w": 256,
            "split": split,
            "mask_file": f"cohen/masks/{name}.png",
            "licence": "made",
            "gb_classes": "Consolidation" if i >= 20 else "",
            "has_v7_lung": 0,
        }
        scores = {f"brixia_{rater}_{zone}": score if i < 32 else "" for rater in "SJ" for zone in _ZONES}
        rows.append(row | scores)
    _table(root / "cohen.csv", rows)


def _film(seed: int, shown: str, value: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    picture = rng.normal(0.35, 0.03, (SIDE, SIDE))
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    if shown:
        top, left = (34, 4) if shown == "Effusion" else rng.integers(4, 30, 2)
        mask[top : top + 10, left : left + 12] = True
        picture[mask] = value
    return picture, mask


def _save(path: Path, picture: np.ndarray) -> None:
    _made(path.parent)
    Image.fromarray((picture.clip(0, 1) * 255).round().astype(np.uint8)).save(path)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
