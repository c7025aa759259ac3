"""Networks whose logits, gradients and maps are known by hand, and small random ones for identities."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xrayinterp.models.architectures import DenseNet, DenseNetShape

M = TypeVar("M", bound=nn.Module)
SMALL = DenseNetShape(growth=8, blocks=(2, 2, 2, 2), stem=16)
SIZE = 64
"""Input side of the small nets: their last map is 2 x 2."""

A = torch.tensor([[[1.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]])
"""The two feature maps of the CAM toy."""


def frozen(module: M, dtype: torch.dtype = torch.float64) -> M:
    """Eval mode, no parameter gradients: how the library holds its models."""
    return module.eval().requires_grad_(False).to(dtype)


class CamToy(nn.Module):
    """x (N, 2, 2, 2) is the map itself; y = 2 mean A1 - 1 mean A2 and its negative."""

    def __init__(self) -> None:
        super().__init__()
        self.same = nn.Conv2d(2, 2, 1, bias=False)
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.same.weight.copy_(torch.eye(2)[:, :, None, None])
            self.head.weight.copy_(torch.tensor([[2.0, -1.0], [-2.0, 1.0]]))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(F.relu(self.same(x)).mean((2, 3)))
        return logits


def random_densenet(seed: int, *, outputs: int = 5, shape: DenseNetShape = SMALL) -> DenseNet:
    """A DenseNet with random weights, batch-norm statistics and head, in float64."""
    generator = torch.Generator().manual_seed(seed)
    net = DenseNet(shape, outputs)
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.weight[0].numel()
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5)
            if isinstance(module, nn.BatchNorm2d):
                for tensor in (module.weight, module.running_var):
                    tensor.copy_(0.5 + torch.rand(tensor.shape, generator=generator))
                for tensor in (module.bias, module.running_mean):
                    tensor.copy_(0.3 * torch.randn(tensor.shape, generator=generator))
        net.classifier.weight.copy_(torch.randn(net.classifier.weight.shape, generator=generator))
        net.classifier.bias.copy_(torch.randn(net.classifier.bias.shape, generator=generator))
    return frozen(net)


def film_batch(seed: int, samples: int = 2, size: int = SIZE, channels: int = 1) -> Tensor:
    """Inputs (N, C, size, size) float64 in [-1, 1]."""
    return torch.rand((samples, channels, size, size), generator=torch.Generator().manual_seed(seed)).double() * 2 - 1


class Biasless(nn.Module):
    """A ReLU net without any bias: homogeneous, so that gradient x input sums to the logit."""

    def __init__(self, seed: int, channels: int = 1) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.body = nn.Sequential(
            nn.Conv2d(channels, 6, 3, 2, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3, 2, 1, bias=False),
            nn.ReLU(),
        )
        self.head = nn.Linear(8, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).mean((2, 3)))
        return logits


class Twin(nn.Module):
    """One net, its ReLUs written three ways and its pooling five; all weights equal for one seed."""

    def __init__(self, relu: str = "module", pool: str = "adaptive") -> None:
        super().__init__()
        torch.manual_seed(7)
        self.first, self.norm, self.second = nn.Conv2d(1, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 8, 3, 2, 1)
        self.head = nn.Linear(8, 4)
        nn.init.uniform_(self.norm.running_mean)
        self.rectify: Callable[[Tensor], Tensor] = {
            "module": nn.ReLU(),
            "functional": F.relu,
            "in-place module": nn.ReLU(inplace=True),
            "in-place function": torch.relu_,
            "method": Tensor.relu,
        }[relu]
        self.pooled: Callable[[Tensor], Tensor] = {
            "adaptive": lambda a: F.adaptive_avg_pool2d(a, 1).flatten(1),
            "module": nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten()),
            "mean": lambda a: a.mean([2, 3]),
            "keyword": lambda a: torch.mean(input=a, dim=(-1, -2)),
            "average": lambda a: F.avg_pool2d(a, a.shape[-2:]).view(len(a), -1),
            "flatten first": lambda a: a.flatten(2).mean(2),
            "einsum": lambda a: torch.einsum("nkhw->nk", a) / a[0, 0].numel(),
        }[pool]

    def forward(self, x: Tensor) -> Tensor:
        a = self.rectify(self.norm(self.first(x)))
        logits: Tensor = self.head(self.pooled(self.rectify(self.second(a))))
        return logits


TWIN_RELUS = ("module", "functional", "in-place module", "in-place function", "method")
TWIN_POOLS = ("adaptive", "module", "mean", "keyword", "average", "flatten first", "einsum")


class Squeeze(nn.Module):
    """Pools once inside (squeeze and excitation) and its last map twice (mean and maximum)."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.stem, self.gate, self.body = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 6, 3, 2, 1)
        self.head = nn.Linear(12, 2)

    def maps(self, x: Tensor) -> Tensor:
        a = F.relu(self.stem(x))
        return F.relu(self.body(a * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(a, 1)))))

    def top(self, maps: Tensor) -> Tensor:
        logits: Tensor = self.head(torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], 1))
        return logits

    def forward(self, x: Tensor) -> Tensor:
        return self.top(self.maps(x))


def snapshot(module: nn.Module) -> dict[str, object]:
    """All that a method could leave behind on a model: bytes, flags, hooks, gradients."""
    return {
        "bytes": {name: tensor.numpy(force=True).tobytes() for name, tensor in module.state_dict().items()},
        "grads": {name: parameter.grad is None for name, parameter in module.named_parameters()},
        "requires_grad": {name: parameter.requires_grad for name, parameter in module.named_parameters()},
        "flags": {name: (part.training, getattr(part, "inplace", None)) for name, part in module.named_modules()},
        "hooks": {
            name: sum(len(value) for key, value in vars(part).items() if "hook" in key and isinstance(value, dict))
            for name, part in module.named_modules()
        },
        "attributes": {name: sorted(vars(part)) for name, part in module.named_modules()},
    }
