"""A model on a batch of films, run as seldom as its methods allow."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping

import torch
from torch import Tensor, nn

from ..errors import Code, XrayInterpError
from ..models.chest_model import ChestModel, Layer
from ..operators.intercept import Cut, cut_at_last_map
from ..operators.relevance import RelevanceGraph, record_relevance
from ..operators.tape import ReluRule, Tape, plain, record
from ..operators.taps import feature_maps
from .target import Target


class Forward:
    """One model on one batch; what several maps need of it is computed once, on first use.

    Args:
        model: a module that gives (N, F) logits, in eval mode, or a ChestModel. It is never written to.
        x: (N, C, H, W) inputs; neither its values nor its `grad` change.

    Raises:
        XrayInterpError: `bad-option` for a module in training mode or an input of another shape or type.
    """

    def __init__(self, model: nn.Module | ChestModel, x: Tensor) -> None:
        self.module: nn.Module = model.module if isinstance(model, ChestModel) else model
        self.x = x.detach()
        self._layers: Mapping[str, Layer] = model.layers if isinstance(model, ChestModel) else {}
        self._cuts: dict[str | None, Cut] = {}
        self._tape: Tape | None = None
        self._relevance: RelevanceGraph | None = None
        self._outputs: Tensor | None = None
        self._remembered: dict[Hashable, Tensor] = {}
        _check_input(x)
        _check_module(self.module)

    def outputs(self) -> Tensor:
        """The logits (N, F), without a graph."""
        if self._outputs is None:
            with torch.inference_mode():
                logits: Tensor = self.module(self.x.clone())  # a clone, since the network may write into its input
            _check_logits(logits, self.x)
            self._outputs = logits.clone()  # made outside, so that it may enter graphs
        return self._outputs

    def cut(self, layer: str | None = None) -> Cut:
        """The forward with its graph from a feature map upwards.

        `layer` is a dissection layer of the ChestModel, a module's dotted name (its rectified output), or None for the
        last map before pooling.
        """
        if layer not in self._cuts:
            cut = self._run_cut(layer)
            _check_logits(cut.logits, self.x)
            self._cuts[layer] = cut
        return self._cuts[layer]

    def tape(self, *, biases: bool = False) -> Tape:
        """The forward with its whole graph, for any number of backward rules; with `biases`, what FullGrad needs."""
        if self._tape is None or (biases and not self._tape.biased):
            self._tape = record(self.module, self.x, biases=biases)
            _check_logits(self._tape.logits, self.x)
        return self._tape

    def relevance(self) -> RelevanceGraph:
        """The forward with a graph that carries relevance, for any number of rules and targets."""
        if self._relevance is None:
            graph = record_relevance(self.module, self.x)
            _check_logits(graph.logits, self.x)
            self._relevance = graph
        return self._relevance

    def remembered(self, key: Hashable, make: Callable[[], Tensor]) -> Tensor:
        """A small tensor without a graph that a method makes once for all targets."""
        if key not in self._remembered:
            self._remembered[key] = make()
        return self._remembered[key]

    def input_gradient(self, target: Target, rule: ReluRule = plain) -> Tensor:
        """What arrives at x from the target, under a rule for ReLUs: by default the gradient, (N, C, H, W).

        Run once for all methods that ask for it; not to be written to.
        """
        return self.remembered(
            ("input gradient", target, rule), lambda: self.tape().gradients(target.score, rule=rule)[0]
        )

    def map_gradient(self, target: Target, layer: str | None = None) -> tuple[Tensor, Tensor]:
        """A feature map and the gradient of the target there, both (N, U, h, w), without a graph."""
        cut = self.cut(layer)
        with torch.inference_mode(False), torch.enable_grad():
            gradient = cut.gradient(target.score)
        return cut.maps.detach(), gradient

    def _run_cut(self, layer: str | None) -> Cut:
        if layer is None:
            return cut_at_last_map(self.module, self.x)
        path = self._layers[layer].path if layer in self._layers else layer
        logits, maps = feature_maps(self.module, self.x, [path], grad=True)
        return Cut(maps[path], logits)


def _check_input(x: Tensor) -> None:
    if x.ndim != 4 or not x.is_floating_point():
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"The input has shape {tuple(x.shape)} and type {x.dtype}.",
            "Methods need floating-point (N, C, H, W).",
        )


def _check_module(module: nn.Module) -> None:
    if any(part.training for part in module.modules()):
        raise XrayInterpError(
            Code.BAD_OPTION,
            f"{type(module).__name__} is in training mode, where a film's map depends on its batch.",
            "Call module.eval() first.",
        )


def _check_logits(logits: Tensor, x: Tensor) -> None:
    if not isinstance(logits, Tensor) or logits.ndim != 2 or logits.shape[0] != x.shape[0]:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise XrayInterpError(
            Code.BAD_OPTION, f"The model gave {got} for {x.shape[0]} samples.", "Methods need logits (N, classes)."
        )
