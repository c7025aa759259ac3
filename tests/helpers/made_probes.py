"""Probe sets in memory: a few random films with an outlined square, for models of `tiny_model`'s findings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xrayinterp.concepts.probes import ProbeFilm, ProbeSet


@dataclass(frozen=True)
class MadeFilm:
    """A random film; Effusion is outlined on even seeds, Mass on every third, each a square of its own place."""

    seed: int

    def pixels(self) -> np.ndarray:
        return np.random.default_rng(self.seed).random((70, 80)).astype(np.float32)

    def masks(self, names: tuple[str, ...], /) -> np.ndarray:
        out = np.zeros((len(names), 70, 80), dtype=bool)
        for mask, name in zip(out, names, strict=True):
            if (name == "Effusion" and self.seed % 2 == 0) or (name == "Mass" and self.seed % 3 == 0):
                top = 5 + (7 * self.seed + len(name)) % 40
                mask[top : top + 15, 20:40] = True
        return out


def made_probes(count: int = 4) -> ProbeSet:
    """`count` films of half as many patients, split "test", looked at for Effusion and Mass."""
    known = frozenset({"Effusion", "Mass"})
    films = tuple(ProbeFilm(f"f{i}", f"p{i // 2}", "test", "made", known, MadeFilm(i)) for i in range(count))
    return ProbeSet("made", ("Effusion", "Mass"), films, seen={"tiny": ("train",)})
