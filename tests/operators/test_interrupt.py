"""Work that is asked to end: at the next operator of its own thread, and without a trace."""

from __future__ import annotations

from threading import Thread

import pytest
import torch

from xrayinterp.operators.interrupt import Interrupted, interruptible


def test_nothing_changes_until_it_is_asked_to_end():
    x = torch.arange(6.0).view(1, 1, 2, 3)
    plain = torch.nn.functional.avg_pool2d(x, 2)
    with interruptible(lambda: False):
        assert torch.equal(torch.nn.functional.avg_pool2d(x, 2), plain)


def test_the_next_operator_ends_it_and_gradients_are_on_again():
    stop = False
    x = torch.ones(3)
    with pytest.raises(Interrupted), interruptible(lambda: stop), torch.no_grad():
        x.exp()
        stop = True
        x.exp()
    assert torch.is_grad_enabled()
    assert x.exp().sum() > 0


def test_other_threads_are_not_touched():
    done: list[float] = []

    def beside() -> None:
        done.append(float(torch.ones(2).sum()))

    with interruptible(lambda: True):
        thread = Thread(target=beside)
        thread.start()
        thread.join()
    assert done == [2.0]
