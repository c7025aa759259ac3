"""Everything along each ray of one phantom: attenuation and masks, from the same path lengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from . import phantom_film as film
from .films import BoolMask
from .phantom_anatomy import SIDES, Body, Side
from .phantom_findings import Collapse, Findings, Opacity, Planted, SideFindings, place
from .phantom_rays import (
    Beam,
    Floats,
    Rays,
    Shape,
    Slab,
    Window,
    common,
    length,
    outside_length,
    union_length,
)
from .phantom_skeleton import add_ellipsoid, airways, clavicles, ribs, shoulder_blades, spine, sternum
from .phantom_tubes import Tube, add_shadows
from .phantom_vessels import vessels

LEAST = 8.0
"""Path in mm (body of size 1) from which a pixel belongs to a lung's mask."""
WET = 0.5
"""Share of the path through the pleural space that is fluid, from which a pixel belongs to an effusion's mask."""
PLEURA = 0.7
"""Thickness of the visceral line in mm."""


@dataclass(frozen=True)
class Scene:
    """Attenuation (size, size), dimensionless; masks by name; `inside`: where there is a body."""

    attenuation: Floats
    masks: dict[str, BoolMask]
    inside: BoolMask


@dataclass(frozen=True)
class _Lung:
    """Path lengths in mm through one pleural space, on the pixels of `window`."""

    window: Window
    pleural: Floats
    aerated: Floats
    fluid: Floats
    free_air: Floats
    line: Floats
    filled: dict[str, Floats]
    field: BoolMask


def compose(body: Body, beam: Beam, planted: Sequence[Planted], seed: int) -> Scene:
    """Attenuation and masks of `body` with these findings in this beam."""
    scene = _Composer(body, beam, seed)
    return scene.run(place(body, beam, planted, seed, scene.airways[0]))


class _Composer:
    """Adds up one scene; every random stream hangs on the seed alone, so findings do not move anatomy."""

    def __init__(self, body: Body, beam: Beam, seed: int) -> None:
        self.body, self.beam, self.seed = body, beam, seed
        self.airways = airways(body)
        self.total = self.blank()
        self.masks: dict[str, BoolMask] = {}

    def blank(self) -> Floats:
        return np.zeros((self.beam.size, self.beam.size), dtype=np.float32)

    def stream(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, 20 + number])

    def run(self, findings: Findings) -> Scene:
        rays = self.beam.rays()
        torso = union_length([shape.interval(rays) for shape in self.body.torso])
        self.total += film.SOFT * torso * (1 + 0.006 * self.mottle(0, 6, 60))
        self.organs(rays)
        for number, side in enumerate(SIDES):
            self.lung(side, findings.sides[side], number)
        self.masks["Lungs"] = self.masks["Left Lung"] | self.masks["Right Lung"]
        self.hollows(rays)
        self.bones()
        if findings.tube is not None:
            self.tube(findings.tube)
        if "Cardiomegaly" in findings.names:
            self.masks["Cardiomegaly"] = self.masks["Heart"]
        return Scene(np.maximum(self.total, 0), self.masks, torso > 20)

    def mottle(self, number: int, fine: float, coarse: float) -> Floats:
        return film.mottle(self.beam.size, self.beam.pitch, self.stream(number), fine=fine, coarse=coarse)

    def organs(self, rays: Rays) -> None:
        """Masks of heart and great vessels: every ray that meets them above the diaphragm's bed."""
        heart, mediastinum, aorta = (
            np.any([length(shape.interval(rays)) > 0 for shape in shapes], axis=0)
            for shapes in (self.body.heart, self.body.mediastinum, self.body.aorta)
        )
        size = self.body.measures.size
        level = rays.nearest[1]  # where each ray passes the body's axis
        between = (level > -110 * size) & (level < (125 + self.body.measures.breath) * size)
        self.masks["Heart"] = heart
        self.masks["Aortic Arch"] = length(self.body.aorta[1].interval(rays)) > 0
        self.masks["Cardiomediastinum"] = heart | ((mediastinum | aorta) & between)

    def lung(self, side: Side, planted: SideFindings, number: int) -> None:
        part = _lung(self.body, self.beam, side, planted)
        lung_tissue = film.SOFT * self.body.measures.density
        saved = film.SOFT - lung_tissue
        here = part.window
        grain = self.mottle(10 + number, 1.2, 9)[here]
        airy = np.maximum(part.aerated - sum(part.filled.values()), 0)
        share = np.divide(airy, part.pleural, out=np.zeros_like(part.pleural), where=part.pleural > 1)
        tree = self.blank()
        add_shadows(tree, self.beam, self.vessels(side, number, planted.collapse))
        self.total[here] -= part.aerated * saved * (1 - 0.012 * grain) + part.free_air * film.SOFT
        self.total[here] += 1.15 * tree[here] * saved * share + part.line * film.SOFT
        self.masks[f"{side} Lung"] = self.whole(part.field, here)
        for opacity in planted.opacities:
            lengths = part.filled[opacity.name]
            uneven = 1 + opacity.mottled * self.mottle(14 + number, 3, 16)[here]
            self.total[here] += saved * np.minimum(lengths * np.clip(uneven, 0.2, 1.6), part.aerated)
            self.add_mask(opacity.name, self.whole((lengths > opacity.least) & part.field, here))
        if planted.fluid is not None:
            wet = part.fluid > WET * part.pleural
            self.add_mask("Effusion", self.whole(wet & part.field, here))
        if planted.collapse is not None:
            free = (part.free_air > 1) & (part.aerated + part.line == 0)
            self.add_mask("Pneumothorax", self.whole(free & part.field, here))

    def vessels(self, side: Side, number: int, collapse: Collapse | None) -> list[Tube]:
        tubes = vessels(self.body, side, self.stream(number + 2))
        if collapse is None:
            return tubes
        k, about = collapse.factor, collapse.about
        return [Tube(about + k * (tube.points - about), tube.radii, tube.depth) for tube in tubes]

    def hollows(self, rays: Rays) -> None:
        """Air in windpipe, bronchi and stomach."""
        windpipe = add_shadows(self.blank(), self.beam, self.airways[:1])
        bronchi = add_shadows(self.blank(), self.beam, self.airways[1:])
        self.total -= film.SOFT * (windpipe + 0.75 * bronchi)
        self.masks["Airways"] = (windpipe > 0) | (bronchi > 0)
        bubble, above = self.body.stomach
        self.total -= film.SOFT * 0.8 * length(common(bubble.interval(rays), above.interval(rays)))

    def bones(self) -> None:
        body, beam, view = self.body, self.beam, self.beam.view
        rib_tubes = ribs(body, self.stream(4))
        collar = clavicles(body, view, self.stream(5))
        plates, borders = shoulder_blades(body, view)
        shadows = {
            name: self.bone(tubes) for name, tubes in (("Ribs", rib_tubes), ("Clavicles", collar), ("", borders))
        }
        self.masks |= {name: whole > 0 for name, whole in shadows.items() if name}
        vertebrae, dense = spine(body, beam)
        self.masks["Spine"] = (vertebrae > 0) | (dense > 0)
        self.total += (film.SPONGY - film.SOFT) * vertebrae * 0.5 + (film.COMPACT - film.SOFT) * dense * 0.12
        flat = self.blank()
        for plate in (*plates, *sternum(body)):
            add_ellipsoid(flat, beam, plate)
        self.total += (film.SPONGY - film.SOFT) * flat

    def bone(self, tubes: list[Tube]) -> Floats:
        """Adds hollow bones; returns the path length through them, marrow included."""
        whole = add_shadows(self.blank(), self.beam, tubes)
        marrow = add_shadows(self.blank(), self.beam, tubes, cavity=True)
        self.total += (film.COMPACT - film.SOFT) * (whole - marrow) + 0.5 * (film.SPONGY - film.SOFT) * marrow
        return whole

    def tube(self, tube: Tube) -> None:
        """A plastic tube with air inside and an opaque stripe along one side."""
        whole = add_shadows(self.blank(), self.beam, [tube])
        inner = add_shadows(self.blank(), self.beam, [tube], cavity=True)
        aside = tube.points + np.array([0.75 * tube.radii[0], 0, 0])
        stripe = add_shadows(self.blank(), self.beam, [Tube(aside, 0.14 * tube.radii)])
        self.total += film.PLASTIC * (whole - inner) + 4 * film.COMPACT * stripe
        self.masks["Endotracheal Tube"] = whole > 0

    def whole(self, part: BoolMask, window: Window) -> BoolMask:
        out = np.zeros((self.beam.size, self.beam.size), dtype=bool)
        out[window] = part
        return out

    def add_mask(self, name: str, mask: BoolMask) -> None:
        self.masks[name] = self.masks[name] | mask if name in self.masks else mask


def _lung(body: Body, beam: Beam, side: Side, planted: SideFindings) -> _Lung:
    """Path lengths through one pleural space and what is planted there."""
    shape = body.lungs[side]
    window = beam.window(shape.centre[None], shape.reach)
    rays = beam.rays(window)
    base = shape.interval(rays)
    removed = [organ.interval(rays) for organ in body.removed(side)]
    pleural = outside_length(base, removed)
    fluid, line, free = (np.zeros_like(pleural) for _ in range(3))
    if planted.fluid is not None:
        low = common(base, Slab(planted.fluid.top, 1e6).interval(rays))
        fluid = outside_length(low, [*removed, planted.fluid.bowl.interval(rays)])
    aerated = pleural - fluid
    lung: list[Shape] = [shape]
    if planted.collapse is not None:
        collapsed = shape.scaled(planted.collapse.factor, planted.collapse.about)
        skin = 1 - PLEURA * float(np.linalg.norm(collapsed.matrix, axis=1).max())
        lung.append(collapsed.scaled(skin))
        aerated = outside_length(common(base, lung[1].interval(rays)), removed)
        line = outside_length(common(base, collapsed.interval(rays)), removed) - aerated
        free = np.maximum(pleural - fluid - aerated - line, 0)
    if planted.fluid is not None:
        lung.append(Slab(-1e6, planted.fluid.top))
    filled = {one.name: _through(one, lung, body.removed(side), beam)[window] for one in planted.opacities}
    dome = np.asarray(length(body.under[side][0].interval(rays)) > 0)
    return _Lung(window, pleural, aerated, fluid, free, line, filled, (pleural > LEAST * body.measures.size) & ~dome)


def _through(opacity: Opacity, lung: Sequence[Shape], removed: Sequence[Shape], beam: Beam) -> Floats:
    """Path length in mm times density through an opacity, inside all of `lung` and outside `removed`: (size, size)."""
    out = np.zeros((beam.size, beam.size), dtype=np.float32)
    groups = [opacity.parts] if opacity.solid else [(part,) for part in opacity.parts]
    for parts in groups:
        window = beam.window(np.stack([part.centre for part in parts]), max(part.reach for part in parts))
        rays = beam.rays(window)
        if rays.nearest.size == 0:
            continue
        within = reduce(common, (shape.interval(rays) for shape in lung))
        organs = [organ.interval(rays) for organ in removed]
        both = [*organs, *(part.interval(rays) for part in parts)]
        out[window] += opacity.density * (union_length(both, within) - union_length(organs, within))
    return out
