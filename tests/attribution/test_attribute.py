"""attribute(): its inputs and outputs, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, Literal

import pytest
import torch
from helpers.closed_form import SIZE, Biasless, Twin, film_batch, frozen, random_densenet, snapshot
from helpers.methods import EXPLAINING, quick
from torch import Tensor, nn

from xrayinterp.attribution import METHODS, Forward, Method, Range, Target, attribute, attribute_many, native_map
from xrayinterp.attribution import forward as forward_module
from xrayinterp.attribution.registry import options_of
from xrayinterp.errors import Code, XrayInterpError
from xrayinterp.operators.tape import Tape

NET = random_densenet(0)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_map_has_the_place_type_and_size_of_its_input(method: str, dtype: torch.dtype) -> None:
    net, x = frozen(Twin(), dtype), film_batch(0, samples=3)[..., :48].to(dtype)
    out = attribute(net, x, 1, method, **quick(method))
    assert (out.shape, out.dtype, out.device, out.requires_grad) == ((3, 1, SIZE, 48), dtype, x.device, False)
    assert METHODS[method].signed == bool((out < 0).any())


@pytest.mark.parametrize("method", METHODS)
def test_one_index_a_sample_and_a_numpy_index_equal_single_films(method: str) -> None:
    x = film_batch(1, samples=3)
    both = attribute(NET, x, torch.tensor([4, 0, 2]), method, **quick(method))
    singles = [attribute(NET, x[i : i + 1], index, method, **quick(method)) for i, index in enumerate((4, 0, 2))]
    torch.testing.assert_close(both, torch.cat(singles))


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_on_the_model_or_the_input(method: str) -> None:
    x = film_batch(2).requires_grad_()
    before, inputs = snapshot(NET), x.detach().clone()
    attribute(NET, x, 1, method, **quick(method))
    assert snapshot(NET) == before
    assert x.grad is None
    assert torch.equal(x, inputs)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("method", EXPLAINING)
def test_nothing_is_left_after_an_exception_inside(method: str) -> None:
    class Failing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = Twin("in-place module")

        def forward(self, x: Tensor) -> Tensor:
            self.net(x)
            raise ZeroDivisionError

    failing = frozen(Failing())
    before = snapshot(failing)
    with pytest.raises(ZeroDivisionError):
        attribute(failing, film_batch(3), 1, method, **quick(method))
    assert snapshot(failing) == before
    assert torch.is_grad_enabled()
    assert not torch.overrides._len_torch_function_stack()


@pytest.mark.parametrize("method", METHODS)
def test_trainable_parameters_keep_their_flags_and_get_no_gradients(method: str) -> None:
    net = Twin().eval().double()
    before = snapshot(net)
    expected = attribute(frozen(Twin()), film_batch(4), 1, method, **quick(method))
    torch.testing.assert_close(attribute(net, film_batch(4), 1, method, **quick(method)), expected)
    assert snapshot(net) == before


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("method", METHODS)
def test_methods_work_where_the_caller_has_switched_gradients_off(mode: Any, method: str) -> None:
    expected = attribute(NET, film_batch(5), 1, method, **quick(method))
    with mode():
        got = attribute(NET, film_batch(5), 1, method, **quick(method))
    assert torch.equal(got, expected)


def test_two_threads_with_one_model_never_mix() -> None:
    films = [film_batch(seed, samples=1) for seed in range(12)]
    jobs = [(film, method) for film in films for method in METHODS]
    expected = [attribute(NET, film, 1, method, **quick(method)) for film, method in jobs]
    with ThreadPoolExecutor(2) as pool:
        got = list(pool.map(lambda job: attribute(NET, job[0], 1, job[1], **quick(job[1])), jobs))
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_one_forward_serves_all_maps_and_targets_of_the_last_map() -> None:
    class Counting(Twin):
        runs = 0

        def forward(self, x: Tensor) -> Tensor:
            self.runs += 1
            return super().forward(x)

    net, x = frozen(Counting()), film_batch(6)
    shared = Forward(net, x)
    maps = [native_map(shared, target, method) for target in range(3) for method in ("gradcam", "gradcam_signed")]
    assert net.runs == 1
    assert torch.equal(maps[-1], native_map(Forward(net, x), 2, "gradcam_signed"))


def test_no_graph_is_built_below_the_last_map() -> None:
    cut = Forward(Twin().eval().double(), film_batch(7)).cut()
    assert cut.maps.is_leaf
    assert cut.maps.grad_fn is None


@pytest.mark.parametrize(
    ("target", "says"),
    [
        (5, "0 to 4"),
        (-1, "0 to 4"),
        (torch.tensor([0, 1, 2]), "3 target indices were given for 2"),
        (torch.tensor([0.0, 1.0]), "not a target"),
        (True, "not a target"),
        ("Effusion", "not a target"),
        (torch.tensor([[0, 1]]), "not a target"),
    ],
)
def test_a_wrong_target_is_refused_by_value(target: Any, says: str) -> None:
    with pytest.raises(XrayInterpError, match=says) as caught:
        attribute(NET, film_batch(8), target, "gradient")
    assert caught.value.code is Code.BAD_OPTION


def test_a_wrong_sign_is_refused() -> None:
    with pytest.raises(XrayInterpError, match="not 2"):
        Target(1, sign=2)  # type: ignore[arg-type]


def test_unknown_names_are_refused_with_what_there_is() -> None:
    x = film_batch(9)
    with pytest.raises(XrayInterpError, match="gradcam_signed") as caught:
        attribute(NET, x, 0, "grad_cam")
    assert caught.value.code is Code.UNKNOWN_METHOD
    with pytest.raises(XrayInterpError, match=r"Its options: layer\.") as caught:
        attribute(NET, x, 0, "gradcam", stages=3)
    assert caught.value.code is Code.BAD_OPTION
    with pytest.raises(XrayInterpError, match=r"features\.nowhere") as caught:
        attribute(NET, x, 0, "gradcam", layer="features.nowhere")
    assert caught.value.code is Code.UNKNOWN_LAYER


def test_models_and_inputs_that_cannot_be_explained_are_refused() -> None:
    x = film_batch(10)
    mlp = frozen(nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, 3)))
    with pytest.raises(XrayInterpError, match="no feature map"):
        attribute(mlp, x, 0, "gradcam")
    assert attribute(mlp, x, 0, "gradient").shape == x.shape
    with pytest.raises(XrayInterpError, match="training mode"):
        attribute(Biasless(0), x.float(), 0, "gradient")
    with pytest.raises(XrayInterpError, match=r"\(2, 64, 64\)"):
        attribute(NET, x[:, 0], 0, "gradient")
    with pytest.raises(XrayInterpError, match=r"torch\.int64"):
        attribute(NET, x.long(), 0, "gradient")
    for method in EXPLAINING:
        with pytest.raises(XrayInterpError, match="logits"):
            attribute(frozen(nn.Sequential(nn.Conv2d(1, 3, 3), nn.AdaptiveAvgPool2d(1))), x, 0, method)


def test_the_registry_is_frozen_and_says_what_each_method_is() -> None:
    with pytest.raises(TypeError):
        METHODS["mine"] = METHODS["gradient"]  # type: ignore[index]
    for name, method in METHODS.items():
        assert isinstance(method, Method)
        assert method.name == name
        assert method.cost > 1 if name in EXPLAINING else method.cost == 0
        assert "M(u) = " in method.equation
        assert method.paper
    assert METHODS["gradcam"].options["layer"].default is None


def test_options_are_read_from_the_signature_and_checked() -> None:
    def map_of(
        forward: Forward,
        target: Target,
        *,
        sparsity: Annotated[float, Range(0, 1)] = 0.9,
        quota: Literal["global", "layer"] = "global",
    ) -> Tensor:
        """M(u) = nothing."""
        return forward.x

    options = options_of(map_of)
    assert (options["sparsity"].range, options["sparsity"].default) == (Range(0, 1), 0.9)
    assert (options["quota"].choices, options["quota"].type) == (("global", "layer"), "choice")
    method = Method("m", "gradient", 1.0, True, False, True, "none", map_of, options, "")
    assert method.settings({"sparsity": 1}) == {"sparsity": 1, "quota": "global"}
    for wrong in ({"sparsity": 1.5}, {"sparsity": "high"}, {"sparsity": float("nan")}, {"quota": "none"}):
        with pytest.raises(XrayInterpError, match="Allowed") as caught:
            method.settings(wrong)
        assert caught.value.code is Code.BAD_OPTION


def test_together_methods_come_in_the_order_asked_for_and_what_they_share_runs_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names = ["input_x_gradient", "guided_gradcam", "fullgrad_signed", "gradient", "guided_backprop"]
    x, records, backwards = film_batch(3, samples=1), [], []
    alone = {name: attribute(NET, x, 1, name) for name in names}
    record, gradients = forward_module.record, Tape.gradients
    monkeypatch.setattr(forward_module, "record", lambda *a, **k: records.append(1) or record(*a, **k))
    monkeypatch.setattr(Tape, "gradients", lambda *a, **k: backwards.append(1) or gradients(*a, **k))
    together = attribute_many(NET, x, [1], names)
    assert list(together) == names
    for name in names:
        torch.testing.assert_close(together[name][0], alone[name])
    assert (len(records), len(backwards)) == (1, 3)  # FullGrad's, the plain and the guided backward, on one tape
