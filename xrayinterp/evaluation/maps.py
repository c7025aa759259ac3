"""Maps as measurements take them: one that a method cannot make marks nothing."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ..attribution import Forward, native_map
from ..attribution.target import Target
from ..errors import Code, XrayInterpError


def map_or_nothing(forward: Forward, target: int | Target, method: str, **options: Any) -> Tensor:
    """`native_map`, detached; zeros (N, 1, H, W) where what is left of the network no longer depends on the film."""
    try:
        return native_map(forward, target, method, **options).detach()
    except XrayInterpError as error:
        if error.code is not Code.NO_GRADIENT:
            raise
        return forward.x.new_zeros(len(forward.x), 1, *forward.x.shape[-2:])
