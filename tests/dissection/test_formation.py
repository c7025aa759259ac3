"""Concept formation: a unit that learns a concept shows in the curve, from files as from memory."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers.dissection import BlobNet, blob_model, disc_probes

from xrayinterp.concepts.probes import load_probe_set
from xrayinterp.dissection.formation import Formation, checkpoints_in, formation, with_weights
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.models.architectures import DenseNet, DenseNetShape
from xrayinterp.models.chest_model import Layer
from xrayinterp.models.storage import save_builtin
from xrayinterp.training.augment import Augmentation
from xrayinterp.training.films import TrainingSet
from xrayinterp.training.loop import Recipe, Stage, train

QUICK = {"permutations": 40, "bootstraps": 20, "progress": False}


def learning(step: int) -> BlobNet:
    """Unit 0 fires on discs from step 1 on, unit 1 on holes at step 1 only; unit 7 learns holes at step 2."""
    net = BlobNet().eval()
    weight, bias = net.conv.weight.data, net.conv.bias.data
    if step == 0:
        weight[0] = 0
    if step != 1:
        weight[1] = 0
    if step == 2:
        weight[7], bias[7], net.place.data[0, 7] = -1 / 64, -0.2, 0
    return net


@pytest.fixture(scope="module")
def found() -> Formation:
    models = ((f"step-{k}", blob_model(learning(k))) for k in range(3))
    return formation(models, disc_probes(), "maps", **QUICK)


def test_curves_rise_where_units_learn(found: Formation) -> None:
    curves = {curve.concept: curve for curve in found.curves}
    assert found.checkpoints == ("step-0", "step-1", "step-2")
    assert curves["disc"].detectors == (0, 1, 1) and curves["hole"].detectors == (0, 1, 1)
    assert curves["disc"].best_iou[0] < 0.1 < curves["disc"].best_iou[1]
    assert curves["disc"].detectable and curves["box"].detectors == (0, 0, 0)


def test_kept_labels_are_those_of_the_same_unit_and_concept(found: Formation) -> None:
    assert found.labels == ({}, {0: ("disc",), 1: ("hole",)}, {0: ("disc",), 7: ("hole",)})
    assert found.labelled == (0, 2, 2) and found.kept == (None, 0, 1)
    assert (found.units, found.films, found.patients) == (8, 60, 30)


def test_folder_of_state_dicts_gives_the_same(tmp_path: Path, found: Formation) -> None:
    for k in range(3):
        torch.save(learning(k).state_dict(), tmp_path / f"step-{k}.pt")
    torch.save(learning(1).state_dict(), tmp_path / "step-10.pt")
    like = blob_model()
    again = formation(checkpoints_in(tmp_path, like), disc_probes(), "maps", **QUICK)
    assert again.checkpoints == (*found.checkpoints, "step-10")
    assert again.labels[:3] == found.labels and again.kept[3] == 1  # unit 0 stays, unit 7 forgets
    assert torch.equal(like.module.conv.weight, BlobNet().conv.weight)


def test_json_holds_all_of_it(found: Formation) -> None:
    told = json.loads(found.to_json())
    assert told["kept"] == [None, 0, 1] and told["labels"][1] == {"0": ["disc"], "1": ["hole"]}


def test_a_training_run_hands_over_every_epoch(tmp_path: Path) -> None:
    phantoms = load_probe_set("phantom", limit=8)
    shape = DenseNetShape(growth=4, blocks=(1, 1), stem=8)
    films = torch.stack([(torch.from_numpy(f.pixels())[::4, ::4] * 255).to(torch.uint8) for f in phantoms.films])
    y = torch.tensor([[float(f.masks(phantoms.concepts).any())] for f in phantoms.films])
    y[0], y[1] = 0, 1
    data = TrainingSet(films, y, ("any",), tuple(f.patient for f in phantoms.films))
    recipe = Recipe("tiny", shape, (Stage(32, 2),), scored=1, batch=2, augmentation=Augmentation())
    facts = {"findings": ["any"], "size": 32, "scale": 1.0, "detail": 32, "task": "findings"}
    folder = tmp_path / "checkpoints"

    def keep(epoch: int, averaged: DenseNet) -> None:
        save_builtin(folder, f"epoch-{epoch:02}", averaged, facts)

    train(recipe, data, data, tmp_path / "run", after_epoch=keep)
    found = formation(checkpoints_in(folder), phantoms, permutations=19, bootstraps=5, progress=False)
    assert found.checkpoints == ("epoch-01", "epoch-02")
    assert found.probe == "phantom" and found.films == 8 and len(found.curves) == len(phantoms.concepts)
    assert all(0 <= iou <= 1 for curve in found.curves for iou in curve.best_iou)


def test_what_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(XrayInterpError, match="holds no checkpoint") as caught:
        next(checkpoints_in(tmp_path))
    assert caught.value.code is Code.NOT_FOUND
    torch.save(BlobNet().state_dict(), tmp_path / "a.pt")
    with pytest.raises(XrayInterpError, match="what network") as caught:
        next(checkpoints_in(tmp_path))
    assert caught.value.code is Code.BAD_OPTION
    (tmp_path / "a.pt").write_bytes(b"not a pickle")
    with pytest.raises(XrayInterpError, match="no state dict that torch can load") as caught:
        next(checkpoints_in(tmp_path, blob_model()))
    assert caught.value.code is Code.WEIGHTS_CORRUPT
    with pytest.raises(XrayInterpError, match="no state dict of 'blobs'"):
        with_weights(blob_model(), {"else": torch.zeros(1)}, "b")


def test_checkpoints_of_different_networks_are_refused() -> None:
    class Narrow(BlobNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.relu(self.conv(x)[:, :4]).mean((2, 3))

    narrow = replace(blob_model(Narrow()), layers={"maps": Layer("relu", 8, 4)})
    quick = QUICK | {"permutations": 19}
    with pytest.raises(XrayInterpError, match="4 and 8 units") as caught:
        formation([("a", blob_model()), ("b", narrow)], disc_probes(8), "maps", **quick)
    assert caught.value.code is Code.BAD_OPTION
    with pytest.raises(XrayInterpError, match="no checkpoint to dissect"):
        formation((), disc_probes(8), "maps", **quick)
