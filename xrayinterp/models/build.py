"""From a state dict to a frozen network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from .architectures import DenseNet
from .layout import DenseNetShape


class SlottedLinear(nn.Linear):
    """A linear layer that holds F trained rows and computes them inside a matrix of all slots.

    Cutting rows changes the shape of the product and with it the order of its sums; in the original shape the logits
    equal the original's bit by bit. `slots`: position of each row among `columns`.
    """

    slots: Tensor

    def __init__(self, features: int, slots: Sequence[int], columns: int) -> None:
        super().__init__(features, len(slots))
        self.columns = columns
        self.register_buffer("slots", torch.tensor(slots, device="cpu"), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, features) -> (N, F)."""
        weight = self.weight.new_zeros(self.columns, self.in_features).index_copy(0, self.slots, self.weight)
        bias = self.bias.new_zeros(self.columns).index_copy(0, self.slots, self.bias)
        return F.linear(x, weight, bias).index_select(1, self.slots)


def head(features: int, slots: Sequence[str]) -> nn.Linear:
    """The classifier for a head whose columns are named `slots`, "" where untrained."""
    trained = [column for column, name in enumerate(slots) if name]
    if len(trained) == len(slots):
        return nn.Linear(features, len(slots))
    return SlottedLinear(features, trained, len(slots))


def build(shape: DenseNetShape, slots: Sequence[str], state: Mapping[str, Tensor]) -> DenseNet:
    """A frozen DenseNet in eval mode that owns the tensors of `state`; nothing is initialised or drawn at random.

    Raises:
        XrayInterpError: `weights-corrupt` where names or shapes differ.
    """
    with torch.device("meta"):
        module = DenseNet(shape, len(slots))
        module.classifier = head(module.classifier.in_features, slots)
    try:
        module.load_state_dict(dict(state), strict=True, assign=True)
    except RuntimeError as error:
        raise XrayInterpError(Code.WEIGHTS_CORRUPT, f"The weights do not fit their network: {error}.") from error
    return module.requires_grad_(False).eval()
