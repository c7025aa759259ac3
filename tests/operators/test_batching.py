"""The engine gives what one-by-one gives, in order, lazily, and within its memory."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from helpers.closed_form import film_batch, random_densenet
from torch import Tensor

from xrayinterp.operators.batching import batched

NET = random_densenet(0)


def _sizes(samples: int, **caps: int) -> list[int]:
    sizes = []

    def recorded(x: Tensor) -> Tensor:
        sizes.append(len(x))
        with torch.no_grad():
            out: Tensor = NET(x)
        return out

    assert len(list(batched(recorded, film_batch(0, samples), **caps))) == samples
    return sizes


def test_results_are_those_of_single_runs_in_order() -> None:
    films = film_batch(1, samples=21)
    with torch.no_grad():
        got = torch.stack(list(batched(NET, films)))
        torch.testing.assert_close(got, torch.cat([NET(film[None]) for film in films]))


def test_the_first_sample_is_measured_alone_and_the_rest_go_together() -> None:
    assert _sizes(40) == [1, 16, 16, 7]
    assert _sizes(7, batch=3) == [1, 3, 3]


@pytest.mark.parametrize("channels", [1, 3])
def test_batches_come_in_channels_last_order(channels: int) -> None:
    films = film_batch(5, samples=3, channels=channels)
    strides = [x.stride() for x in batched(lambda x: [x], films)]  # type: ignore[arg-type,return-value]
    assert strides == [(64 * 64 * channels, 1, 64 * channels, channels)] * 2
    assert torch.equal(torch.stack(list(batched(lambda x: x, films))), films)


def test_memory_bounds_the_batch() -> None:
    largest = 8 * 16 * 32 * 32  # bytes of the stem's map, the largest result; four of it are reckoned
    assert _sizes(9, memory=4 * largest * 2) == [1, 2, 2, 2, 2]
    assert _sizes(4, memory=1) == [1, 1, 1, 1]


def test_a_graph_counts_in_full() -> None:
    def gradient(x: Tensor) -> Tensor:
        sizes.append(len(x))
        x = x.clone().requires_grad_()
        return torch.autograd.grad(NET(x).sum(), [x])[0]

    sizes: list[int] = []
    cap = 4 * 8 * 16 * 32 * 32 * 2
    films = film_batch(2, samples=3)
    got = torch.stack(list(batched(gradient, films, memory=cap)))
    assert sizes == [1, 1, 1]
    torch.testing.assert_close(got, gradient(films))


def test_samples_are_drawn_lazily_and_may_be_none() -> None:
    drawn = []

    def stream() -> Iterator[Tensor]:
        for i, film in enumerate(film_batch(3, samples=20)):
            drawn.append(i)
            yield film

    results = batched(NET, stream(), batch=4)
    next(results)
    assert drawn == [0]
    assert list(batched(NET, [])) == []


def test_what_the_function_raises_comes_through_and_no_mode_stays() -> None:
    def failing(x: Tensor) -> Tensor:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(batched(failing, film_batch(4)))
    assert not torch.overrides._len_torch_function_stack()
