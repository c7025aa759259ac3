"""Every method gives on an accelerator what it gives on the processor; needs one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xrayinterp.attribution import METHODS, attribute
from xrayinterp.datasets.phantom import phantom
from xrayinterp.models.zoo import load_model

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator")

DISCRETE = {"prunegrad", "prunegrad_pgd", "smoothgrad", "integrated_gradients"}
"""Rounding moves a choice among near equals, or the side of a bend on which one of many points lies."""


@pytest.mark.parametrize("name", METHODS)
def test_a_map_is_the_same_on_an_accelerator(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    plain, moved = load_model("compact"), load_model("compact", device="cuda")
    x = plain.prepare_pixels(phantom(3, size=256, findings=("Effusion",)).pixels)
    target = plain.index("Effusion")
    there = attribute(moved, x.cuda(), target, name)
    assert there.device.type == "cuda"
    here = attribute(plain, x, target, name).flatten().numpy()
    there = there.cpu().flatten().numpy()
    if name in DISCRETE:
        assert np.corrcoef(here, there)[0, 1] > 0.99
    else:
        np.testing.assert_allclose(there, here, atol=1e-3 * np.abs(here).max())
