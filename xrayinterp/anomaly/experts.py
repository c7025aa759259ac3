"""Experts: frozen networks whose features a cloner learns to repeat on normal images."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.architectures import DenseNet
from ..models.chest_model import ChestModel
from ..models.device import usable
from ..models.layout import DenseNetShape, dissection_layers
from ..models.prepare import resize
from ..operators.taps import feature_maps
from .cloners import DENSE, EQUAL, SMALL, CloneSize, DenseCloner, VGGCloner
from .tensor_files import tensors_digest

Kind = Literal["vgg16", "model", "self-supervised", "random"]

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VGG_PATHS = ("9", "16", "23", "30")
"""The second to the fifth pooling of torchvision's `vgg16().features`."""


@dataclass(frozen=True)
class InputRecipe:
    """From images in [0, 1] to an input of `channels` (1 or 3) and side `size` (None leaves it): (x - mean) / std."""

    channels: int
    size: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Inputs (N, channels, size, size) of images (N, C, H, W); grey is repeated, colour is averaged to grey."""
        if images.shape[1] not in (1, 3):
            raise XrayInterpError(
                Code.BAD_OPTION, f"Images have {images.shape[1]} channels.", "Give grey images (1) or colour ones (3)."
            )
        x = images if self.size is None else resize(images, self.size)
        if x.shape[1] != self.channels:
            x = x.mean(1, keepdim=True) if self.channels == 1 else x.expand(-1, self.channels, -1, -1)
        mean, std = (x.new_tensor(values).view(1, -1, 1, 1) for values in (self.mean, self.std))
        x = (x - mean) / std
        return x.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)  # channels last: a fifth of a forward


@dataclass(frozen=True, eq=False)
class Expert:
    """A frozen network and where it is listened to.

    `module` is in eval mode, its parameters frozen; `points` are paths of its critical points, first to last, read as
    rectified maps. `shape` is the size of a DenseNet, None for VGG-16. `label_informed`: whether it was trained on
    labels of radiographs; None where that is not known. `sha256`: of its weights' file, or of its tensors where it has
    none.
    """

    name: str
    kind: Kind
    module: nn.Module
    points: tuple[str, ...]
    recipe: InputRecipe
    label_informed: bool | None
    sha256: str | None = None
    shape: DenseNetShape | None = None

    def maps(self, images: Tensor, *, grad: bool = False) -> tuple[Tensor, ...]:
        """Maps (N, U, h, w) at every critical point for images (N, C, H, W); with `grad`, inside the images' graph."""
        return self.read(self.recipe(images), grad=grad)

    def read(self, x: Tensor, *, grad: bool = False) -> tuple[Tensor, ...]:
        """`maps` of prepared inputs."""
        found = feature_maps(self.module, x, self.points, grad=grad)[1]
        return tuple(found[path] for path in self.points)

    def at_size(self, size: int | None) -> Expert:
        """The same expert for inputs of another side in pixels."""
        return replace(self, recipe=replace(self.recipe, size=size))

    def only(self, points: Sequence[int]) -> Expert:
        """The same expert listened to at some of its points, by position."""
        return replace(self, points=tuple(self.points[i] for i in points))

    def on(self, device: str | torch.device) -> Expert:
        """The same expert on a device; a copy of its network goes there."""
        here, wanted = next(iter(self.module.parameters()), torch.empty(0)).device, usable(device)
        there = here.type == wanted.type and wanted.index in (None, here.index)
        return self if there else replace(self, module=copy.deepcopy(self.module).to(wanted))


def cloner_of(expert: Expert, size: CloneSize = "small", *, seed: int = 0) -> nn.Module:
    """An untrained cloner that fits an expert: images' inputs -> maps of the expert's shapes at all its points.

    Args:
        expert: a VGG-16 or a DenseNet.
        size: "small" is the published cloner, or a small DenseNet for a DenseNet; "equal" is as large as the expert.
        seed: decides its weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if expert.shape is None:
            return VGGCloner(SMALL if size == "small" else EQUAL, expert.recipe.channels)
        widths = [layer.units for layer in dissection_layers(expert.shape, 224).values()]
        shape = replace(DENSE, blocks=DENSE.blocks[: len(expert.shape.blocks)])
        return DenseCloner(shape if size == "small" else expert.shape, widths)


def model_expert(model: ChestModel, *, size: int | None = None, kind: Kind = "model") -> Expert:
    """A chest model as expert: every dissection layer is a critical point.

    Args:
        model: built in, torchxrayvision's, or a file's; those were all trained on labels of radiographs.
        size: side of its input in pixels; None takes the model's own.
        kind: what it is called in files.
    """
    module = model.module
    if not isinstance(module, DenseNet):
        raise XrayInterpError(Code.BAD_OPTION, f"{model.name!r} is no DenseNet.", "Use a model of the registry.")
    scale = model.scale
    recipe = InputRecipe(1, size or model.size, (0.5,), (0.5 / scale,))
    points = tuple(layer.path for layer in model.layers.values())
    return Expert(model.name, kind, module, points, recipe, True, model.card.sha256, module.shape)


def densenet_expert(
    module: DenseNet, name: str, kind: Kind, size: int, *, label_informed: bool | None = False
) -> Expert:
    """A DenseNet for inputs (N, 1, size, size) in [-1, 1] as expert; it is frozen."""
    points = tuple(layer.path for layer in dissection_layers(module.shape, size).values())
    frozen = module.eval().requires_grad_(False)
    recipe = InputRecipe(1, size, (0.5,), (0.5,))
    return Expert(name, kind, frozen, points, recipe, label_informed, tensors_sha256(frozen), module.shape)


def random_expert(seed: int = 0, *, size: int | None = 128, shape: DenseNetShape | None = None) -> Expert:
    """An expert that learned nothing: VGG-16, or a DenseNet of `shape`, with random weights that `seed` decides."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if shape is not None:
            return densenet_expert(DenseNet(shape, 1), "random", "random", size or 128)
        module = vgg16_features()
    return Expert("random-vgg16", "random", module, VGG_PATHS, _imagenet_recipe(size), False, tensors_sha256(module))


def vgg16_expert(*, size: int | None = 128, file: Path | None = None) -> Expert:
    """VGG-16 with torchvision's ImageNet weights: its features at the second to the fifth pooling.

    Args:
        size: side of its input in pixels; None takes images as they are.
        file: torchvision's checkpoint, or the safetensors file made of it; None takes the one fetched or imported.

    Raises:
        XrayInterpError: `weights-offline`, saying which file to put where, and those of `models.weights.fetch`.
    """
    from .expert_weights import vgg16_state

    state, sha256 = vgg16_state(file)
    module = vgg16_features()
    module.load_state_dict(state)
    return Expert("vgg16", "vgg16", module, VGG_PATHS, _imagenet_recipe(size), False, sha256)


def vgg16_features() -> nn.Module:
    """The convolutions of VGG-16, frozen, with weights as torchvision draws them and no ReLU in place."""
    from torchvision.models.vgg import cfgs, make_layers

    module: nn.Module = make_layers(cfgs["D"])
    for part in module.modules():
        if isinstance(part, nn.ReLU):
            part.inplace = False
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    return module.eval().requires_grad_(False)


def _imagenet_recipe(size: int | None) -> InputRecipe:
    return InputRecipe(3, size, IMAGENET_MEAN, IMAGENET_STD)


def tensors_sha256(module: nn.Module) -> str:
    """SHA-256 over names, types, shapes and values of what a module computes with."""
    state = {name: tensor.detach().cpu() for name, tensor in module.state_dict().items()}
    counted = "num_batches_tracked"  # a counter, which no file keeps
    return tensors_digest({name: one for name, one in state.items() if not name.endswith(counted)})
