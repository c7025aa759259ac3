"""How far the pruned network is linear: distances to the hyperplanes where a kept neuron or a pooling changes over.

At x every ReLU and every max-pooling is in some state. With these states held, the network is affine: f(x) + g.d is
what its copy with held states computes at x + d. The states change where a kept neuron's input, or the lead of a
pooling's winner, passes 0; removed neurons have no say. One forward of a batch whose first row is x, states held
from that row, gives the exact rate of all these values along every other row's direction.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, NoReturn

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel
from ..operators.in_place import writes_into_input
from ..operators.tape import is_relu, operator_name
from .forward import Forward

ROWS = 16
"""Directions that go through the network together."""

POOLS = frozenset({F.max_pool2d, torch.max_pool2d})
_OTHER_KINKS = frozenset(
    {"max_pool1d", "max_pool3d", "max_pool2d_with_indices", "fractional_max_pool2d", "adaptive_max_pool1d"}
    | {"adaptive_max_pool2d", "adaptive_max_pool3d", "max", "min", "amax", "amin", "maximum", "minimum", "abs", "topk"}
)

Visit = Callable[[str, int, Tensor], None]
"""visit(kind, number, values (1 + m, k)): k values at x and at the m other rows; states hold while all are >= 0."""


@dataclass(frozen=True)
class LinearRegion:
    """The ball around x inside which a (pruned) network is linear.

    `radius` (L2, in units of the input) is the distance to the nearest hyperplane: `relu` to the nearest kept neuron's,
    `pool` to the nearest change of a max-pooling's winner, infinite where there is none. `exact` says whether the
    distances use every input direction; else the rates are estimated from `directions` Gaussian directions: with 32,
    the radius of small random networks came to 0.83 to 1.24 of the exact one. `kinks` is the number of hyperplanes.
    """

    radius: float
    relu: float
    pool: float
    exact: bool
    directions: int
    kinks: int


def linear_region(
    model: nn.Module | ChestModel,
    x: Tensor,
    masks: Sequence[Tensor] | None = None,
    *,
    directions: int | None = 32,
    seed: int = 0,
) -> LinearRegion:
    """The linear region of a network, pruned by `masks` (as in `Pathway.masks`) or whole, around one film.

    Args:
        model: a network of linear operators, ReLUs and max-poolings in eval mode.
        x: one input (1, C, H, W).
        masks: one a ReLU site.
        directions: Gaussian directions for the estimate, or None for the exact radius: one forward of the network a
            pixel.
        seed: of the directions.

    Raises:
        XrayInterpError: `unsupported-operator` for a network that is not piecewise linear, `bad-option` for more films.
    """
    module = _checked(model, x)
    squares: dict[tuple[str, int], Tensor] = {}
    gaps: dict[tuple[str, int], Tensor] = {}
    size = x.numel()
    scale = _scale(x)

    def visit(kind: str, number: int, values: Tensor) -> None:
        rates = (values[1:] - values[:1]).div_(scale).square_().sum(0)
        key = (kind, number)
        squares[key] = rates.add_(squares[key]) if key in squares else rates
        gaps[key] = values[0].clone()

    for rows in _rows(x, directions, seed):
        held(module, torch.cat([x, x + scale * rows]), masks, visit)
    drawn = 1 if directions is None else directions
    nearest = {"relu": math.inf, "pool": math.inf}
    for (kind, number), gap in gaps.items():
        distance = gap / (squares[kind, number] / drawn).sqrt()
        nearest[kind] = min(nearest[kind], _least(distance))
    return LinearRegion(
        min(nearest.values()),
        nearest["relu"],
        nearest["pool"],
        directions is None,
        size if directions is None else directions,
        sum(gap.numel() for gap in gaps.values()),
    )


def first_kink(
    model: nn.Module | ChestModel, x: Tensor, direction: Tensor, masks: Sequence[Tensor] | None = None
) -> float:
    """How far one can go from x (1, C, H, W) along a direction before the network ceases to be linear (L2), exactly.

    One forward of two rows. Infinite where the network is linear all the way; 0 where x itself lies on a hyperplane
    that the direction crosses.

    Raises:
        XrayInterpError: as `linear_region`, and `bad-option` for a direction of length 0.
    """
    module = _checked(model, x)
    length = float(torch.linalg.vector_norm(direction))
    if length == 0 or not math.isfinite(length):
        raise XrayInterpError(Code.BAD_OPTION, f"The direction has length {length}.", "Give one that leads somewhere.")
    step = _scale(x) * math.sqrt(x.numel())  # about as long as x, so that rounding errors stay small
    nearest: float = math.inf

    def visit(kind: str, number: int, values: Tensor) -> None:
        nonlocal nearest
        closing = values[0] - values[1]
        nearest = min(nearest, _least(torch.where(closing > 0, values[0] / closing, torch.inf)))

    held(module, torch.cat([x, x + direction * (step / length)]), masks, visit)
    return nearest * step


def held(module: nn.Module, rows: Tensor, masks: Sequence[Tensor] | None, visit: Visit | None = None) -> Tensor:
    """Logits (1 + m, F) with all states held as they are at the first row x: f(x) + g.(row - x), exactly."""
    with torch.no_grad(), _Held(masks, visit):
        logits: Tensor = module(rows.clone())
    return logits


class _Held(TorchFunctionMode):
    """Gives every row the states of the first: which neurons fire, and which input wins each max-pooling."""

    def __init__(self, masks: Sequence[Tensor] | None, visit: Visit | None) -> None:
        super().__init__()
        self._masks, self._visit = masks, visit
        self._relus = self._pools = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = dict(kwargs or {})
        if is_relu(func, args, kwargs):
            z: Tensor = args[0] if args else kwargs["input"]
            a = self._relu(z)
            return z.copy_(a) if writes_into_input(func, args, kwargs) else a
        if func in POOLS:
            names = ("input", "kernel_size", "stride", "padding", "dilation", "ceil_mode")
            kwargs.pop("return_indices", None)  # False here: with indices, the operator has another name
            return self._pool(**(dict(zip(names, args, strict=False)) | kwargs))
        if getattr(func, "__name__", "") in _OTHER_KINKS:
            _refuse(operator_name(func))
        return func(*args, **kwargs)

    def _relu(self, z: Tensor) -> Tensor:
        """What every row has where the first row's neuron fires and stays."""
        fires = z[:1] > 0
        stays = None if self._masks is None else self._masks[self._relus]
        if self._visit is not None:
            value = torch.where(fires, z, -z).flatten(1)
            self._visit("relu", self._relus, value if stays is None else value[:, stays.flatten()])
        self._relus += 1
        return z * (fires if stays is None else fires & stays)

    def _pool(self, input: Tensor, kernel_size: Any, stride: Any = None, **how: Any) -> Tensor:
        window = _Window(_pair(kernel_size), _pair(stride or kernel_size), **how)
        best, winner = F.max_pool2d_with_indices(input[:1], *astuple(window))
        index = winner.expand(len(input), -1, -1, -1).flatten(2)
        pooled = input.flatten(2).gather(2, index).view(len(input), *best.shape[1:])
        if self._visit is not None:
            self._visit("pool", self._pools, window.leads(input, pooled))
        self._pools += 1
        return pooled


@dataclass(frozen=True)
class _Window:
    """What a max-pooling looks at."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: int | tuple[int, int] = 0
    dilation: int | tuple[int, int] = 1
    ceil_mode: bool = False

    def leads(self, maps: Tensor, pooled: Tensor) -> Tensor:
        """By how much the winners lead each value of their windows, (rows, k); a constant for what is padding."""
        padding, dilation = _pair(self.padding), _pair(self.dilation)
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel, dilation, strict=True)]
        margins = []
        for axis in (1, 0):
            reach = (pooled.shape[2 + axis] - 1) * self.stride[axis] + spans[axis]
            margins += [padding[axis], reach - maps.shape[2 + axis] - padding[axis]]
        windows = F.pad(maps, margins, value=-math.inf)
        for axis in (0, 1):
            windows = windows.unfold(2 + axis, spans[axis], self.stride[axis])[..., :: dilation[axis]]
        leads = pooled[..., None, None] - windows
        return leads.masked_fill_(leads.isinf(), 1.0).flatten(1)


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[-1]))


def _rows(x: Tensor, directions: int | None, seed: int) -> Iterator[Tensor]:
    """Batches of directions (m, C, H, W): Gaussian, or one a pixel."""
    size = x.numel()
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, size if directions is None else directions, ROWS):
        stop = min(start + ROWS, size if directions is None else directions)
        if directions is None:
            rows = F.one_hot(torch.arange(start, stop), size)
        else:
            rows = torch.randn(stop - start, size, generator=generator, dtype=torch.float64)
        yield rows.to(x).view(-1, *x.shape[1:])


def _scale(x: Tensor) -> float:
    """The root mean square of x, 1 for zeros: directions of this size keep rounding errors small."""
    return float(x.double().square().mean().sqrt()) or 1.0


def _least(distances: Tensor) -> float:
    """The least; infinite where there is none. A value that is 0 and never moves (0/0) is no kink."""
    known = distances[~distances.isnan()]
    return float(known.min()) if len(known) else math.inf


def _checked(model: nn.Module | ChestModel, x: Tensor) -> nn.Module:
    forward = Forward(model, x)
    if len(x) != 1:
        raise XrayInterpError(Code.BAD_OPTION, f"{len(x)} films were given.", "A linear region is that of one film.")
    if unruled := forward.tape().unruled:
        _refuse(", ".join(unruled))
    return forward.module


def _refuse(operators: str) -> NoReturn:
    raise XrayInterpError(
        Code.UNSUPPORTED_OPERATOR,
        f"The network uses {operators}, where nobody has said how far it is linear.",
        "Linear regions are there for networks of ReLUs, max-poolings and linear operators.",
    )
