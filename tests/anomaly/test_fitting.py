"""Fitting: lambda, resuming, seeds, what is refused, and that the expert is only ever listened to."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.anomaly import frozen_expert, linear_relu, tiny_expert, waves
from torch import Tensor, nn

from xrayinterp.anomaly import fitting
from xrayinterp.anomaly.distillation import DistillationDetector
from xrayinterp.anomaly.experts import cloner_of
from xrayinterp.anomaly.fitting import Listener, Settings, calibrated_balance, key_of, learn
from xrayinterp.anomaly.normals import normal_films
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.training.augment import Augmentation

QUICK = Settings(epochs=3, batch=8)


class Off(nn.Module):
    """A cloner whose value is off by `by` and whose direction is as it should be."""

    def __init__(self, module: nn.Module, factor: float) -> None:
        super().__init__()
        self.module, self.factor = module, nn.Parameter(torch.tensor(factor, dtype=torch.float64))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.factor * self.module(x)
        return (y.flip(1),)


def test_balance_is_the_mean_ratio_of_the_terms() -> None:
    expert = frozen_expert(linear_relu([[1, 0], [0, 1]]), ["1"])
    images = torch.tensor([[0.6, 0.8], [1.0, 0.0]], dtype=torch.float64).view(2, 1, 1, 2)
    cloner = Off(expert.module, 2.0)  # of (a, b) it makes (2 b, 2 a)
    found = calibrated_balance(Listener(expert, images, Settings(batch=1)), cloner, [0])
    ratios = [(1 - 2 * a * b) / (((2 * b - a) ** 2 + (2 * a - b) ** 2) / 2) for a, b in ((0.6, 0.8), (1.0, 0.0))]
    assert found == pytest.approx(sum(ratios) / 2, rel=1e-3)
    assert cloner.factor.item() == 2.0


def test_both_terms_weigh_the_same_on_the_untrained_cloner() -> None:
    expert, images = tiny_expert(), waves(64)
    cloner = cloner_of(expert, seed=0)
    state = {name: tensor.clone() for name, tensor in cloner.state_dict().items()}
    balance = calibrated_balance(Listener(expert, images, Settings(batch=64)), cloner, range(len(expert.points)))
    assert all(torch.equal(tensor, cloner.state_dict()[name]) for name, tensor in state.items())
    with torch.no_grad():
        maps = cloner.train()(expert.recipe(images))
    found = fitting.discrepancies(expert.maps(images), maps)
    assert balance * found.value.sum(1).mean().item() == pytest.approx(found.direction.sum(1).mean().item(), rel=1e-3)


def test_loss_falls_and_its_curve_is_kept() -> None:
    learned = learn(tiny_expert(), waves(48), Settings(epochs=6, batch=8, rate=5e-3))
    assert len(learned.curve) == 6
    assert learned.curve[-1] < 0.7 * learned.curve[0]
    assert not learned.cloner.training
    assert not any(p.requires_grad for p in learned.cloner.parameters())


def states_equal(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(v, b.state_dict()[k]) for k, v in a.state_dict().items())


def test_a_broken_fit_goes_on_to_equal_weights(tmp_path: Path) -> None:
    expert, images = tiny_expert(), waves(24)
    whole = learn(expert, images, QUICK, folder=tmp_path / "whole")
    ticks = 0

    def stop_after_two() -> None:
        nonlocal ticks
        ticks += 1
        if ticks == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(expert, images, QUICK, folder=tmp_path / "broken", tick=stop_after_two)
    rest: list[int] = []
    gone_on = learn(expert, images, QUICK, folder=tmp_path / "broken", tick=lambda: rest.append(1))
    assert len(rest) == 1
    assert states_equal(whole.cloner, gone_on.cloner)
    assert whole.curve == gone_on.curve
    assert whole.balance == gone_on.balance


def test_losses_lie_in_the_checkpoint_alone(tmp_path: Path) -> None:
    expert, images = tiny_expert(), waves(16)
    first = learn(expert, images, QUICK, folder=tmp_path)
    (checkpoint,) = tmp_path.glob("*.last.pt")
    assert {file.suffix for file in tmp_path.iterdir()} == {".pt", ".lambda"}
    again = learn(expert, images, QUICK, folder=tmp_path, tick=lambda: pytest.fail("it was learnt anew"))
    assert again.curve == first.curve
    state = torch.load(checkpoint, weights_only=True)
    assert tuple(state["losses"]) == first.curve
    del state["losses"]
    torch.save(state, checkpoint)  # as an earlier version wrote it: begun again
    assert learn(expert, images, QUICK, folder=tmp_path).curve == first.curve


def test_a_half_written_lambda_is_never_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_self: Path, _data: bytes) -> int:
        raise OSError("disk full")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", broken)
        with pytest.raises(OSError, match="disk full"):
            learn(tiny_expert(), waves(16), QUICK, folder=tmp_path)
    assert not list(tmp_path.iterdir())


def test_seeds_decide_and_anything_else_is_another_fit() -> None:
    expert, images = tiny_expert(), waves(16)
    first, again, other = (learn(expert, images, Settings(epochs=1, batch=8, seed=seed)).cloner for seed in (0, 0, 1))
    assert states_equal(first, again)
    assert not states_equal(first, other)
    keys = {
        key_of(expert, images, Settings()),
        key_of(expert, images, Settings(seed=1)),
        key_of(expert, waves(16, seed=3), Settings()),
        key_of(tiny_expert(1), images, Settings()),
        key_of(expert.at_size(32), images, Settings()),
    }
    assert len(keys) == 5


def test_kept_maps_change_nothing_much_and_are_not_kept_under_augmentation(monkeypatch: pytest.MonkeyPatch) -> None:
    expert, images = tiny_expert(), waves(16)
    settings = Settings(epochs=2, batch=8)
    kept = learn(expert, images, settings)
    monkeypatch.setattr(fitting, "CACHE_BYTES", 0)
    made = learn(expert, images, settings)
    assert kept.curve == pytest.approx(made.curve, rel=1e-2)
    augmented = Settings(augmentation=Augmentation(mirror=0.0))
    monkeypatch.setattr(fitting, "CACHE_BYTES", 1 << 30)
    assert Listener(expert, images, augmented).kept is None
    assert learn(expert, images, Settings(epochs=1, batch=8, augmentation=Augmentation())).curve[0] > 0


def test_the_expert_keeps_no_graph_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    expert = tiny_expert()
    state = {name: tensor.clone() for name, tensor in expert.module.state_dict().items()}
    seen: list[bool] = []
    original = fitting.discrepancies

    def watched(wanted: Any, cloned: Any, *rest: Any) -> Any:
        seen.extend(maps.requires_grad for maps in wanted)
        return original(wanted, cloned, *rest)

    monkeypatch.setattr(fitting, "discrepancies", watched)
    monkeypatch.setattr(fitting, "CACHE_BYTES", 0)
    learn(expert, waves(16), Settings(epochs=1, batch=8))
    assert seen
    assert not any(seen)
    assert all(torch.equal(tensor, expert.module.state_dict()[name]) for name, tensor in state.items())


@pytest.mark.parametrize("change", [{"terms": "value"}, {"terms": "direction"}, {"training": (2,), "scoring": (2,)}])
def test_ablations_are_settings(change: dict[str, Any]) -> None:
    whole = DistillationDetector(tiny_expert(), QUICK)
    detector = whole.ablated(**change).fit(waves(16))
    scores = detector.scores(waves(4, seed=2))
    assert scores.shape == (4,)
    assert bool((scores > 0).all())
    parts = detector.parts(waves(4, seed=2))
    assert torch.allclose(parts.sum((1, 2)), scores, rtol=1e-5)
    if change.get("terms") == "value":
        assert parts[:, 1].abs().max() == 0


def test_standardised_scores_of_held_out_normals_have_mean_zero() -> None:
    held_out = waves(20, seed=4)
    detector = DistillationDetector(tiny_expert(), Settings(epochs=1, batch=8, fusion="standardised"))
    detector.fit(waves(24), held_out=held_out)
    assert detector.scores(held_out).mean().item() == pytest.approx(0, abs=1e-3)
    inside = DistillationDetector(tiny_expert(), Settings(epochs=1, batch=8, fusion="standardised")).fit(waves(40))
    assert bool(torch.isfinite(inside.scores(held_out)).all())


@pytest.mark.parametrize(
    "images", [waves(4) * 255, waves(4)[0], waves(1), (waves(4) * 255).byte(), waves(4) * torch.nan]
)
def test_images_out_of_range_or_shape_are_refused(images: Tensor) -> None:
    with pytest.raises(XrayInterpError) as caught:
        learn(tiny_expert(), images, QUICK)
    assert caught.value.code is Code.BAD_OPTION


def test_what_was_not_fitted_says_so() -> None:
    with pytest.raises(XrayInterpError, match="has not been fitted"):
        DistillationDetector(tiny_expert()).scores(waves(1))


@pytest.mark.parametrize(("normal", "said"), [(False, "says that it has findings"), (None, "does not say")])
def test_films_that_are_not_normal_are_refused(normal: bool | None, said: str) -> None:
    film: Any = SimpleNamespace(id="7", dataset="nih", normal=normal, view="PA", patient="1")
    with pytest.raises(XrayInterpError, match=said) as caught:
        normal_films([film], 32, "films", criterion="no-finding")
    assert caught.value.code is Code.BAD_DATA
    with pytest.raises(XrayInterpError, match="no normal films"):
        normal_films([], 32, "films", criterion="no-finding")


@pytest.mark.parametrize(
    ("training", "scoring", "code"),
    [((3,), (0,), Code.BAD_OPTION), ((0, 1), (1, 1), Code.UNKNOWN_LAYER), ((0, 0), (0,), Code.UNKNOWN_LAYER)],
)
def test_no_point_is_scored_where_nothing_was_learnt_or_twice(
    training: tuple[int, ...], scoring: tuple[int, ...], code: Code
) -> None:
    with pytest.raises(XrayInterpError) as caught:
        Settings(training=training, scoring=scoring).points(tiny_expert())
    assert caught.value.code is code
