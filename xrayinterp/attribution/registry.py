"""What an attribution method is, and the one list of those there are."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from torch import Tensor

from ..errors import Code, XrayInterpError

Family = Literal["gradient", "propagation", "lrp", "cam", "fullgrad", "pathway", "perturbation", "baseline"]
Function = Callable[..., Tensor]


@dataclass(frozen=True)
class Range:
    """Annotation of a numeric option: the closed interval it lies in."""

    low: float
    high: float


@dataclass(frozen=True)
class Option:
    """One keyword of a method; `range` bounds a number, `choices` lists the words allowed, None and () where free."""

    name: str
    default: Any
    type: str
    range: Range | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Method:
    """One attribution method.

    `cost` is in forwards of the same model at batch 1; `signed` says whether negative values mean evidence against.
    `linear`: the map of minus a logit is minus the map, by construction. `single`: one forward and a few backwards give
    it, whatever its options; the others sample.
    `function(forward, target, **options)` gives the map at its native grid, (N, 1, h, w).
    """

    name: str
    family: Family
    cost: float
    signed: bool
    linear: bool
    single: bool
    paper: str
    function: Function
    options: Mapping[str, Option]
    equation: str

    def settings(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Every option with its value, defaults filled in.

        Raises:
            XrayInterpError: `bad-option` for a name the method does not have or a value outside its range.
        """
        for name, value in options.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise XrayInterpError(
                    Code.BAD_OPTION, f"Method {self.name!r} has no option {name!r}.", f"Its options: {known}."
                )
            _check(self.name, self.options[name], value)
        return {name: options.get(name, option.default) for name, option in self.options.items()}


_METHODS: dict[str, Method] = {}
METHODS: Mapping[str, Method] = MappingProxyType(_METHODS)
"""Every attribution method by name."""


def attribution(
    name: str,
    *,
    family: Family,
    cost: float,
    signed: bool,
    paper: str,
    linear: bool = False,
    single: bool = True,
) -> Callable[[Function], Function]:
    """Register `function(forward, target, *, option=default, ...) -> (N, 1, h, w)`; its docstring is the equation."""

    def register(function: Function) -> Function:
        equation = inspect.getdoc(function) or ""
        _METHODS[name] = Method(
            name, family, cost, signed, linear, single, paper, function, options_of(function), equation
        )
        return function

    return register


def method_named(name: str) -> Method:
    """The method of that name.

    Raises:
        XrayInterpError: `unknown-method`, listing those there are.
    """
    if name not in METHODS:
        raise XrayInterpError(
            Code.UNKNOWN_METHOD, f"There is no attribution method {name!r}.", f"There are: {', '.join(METHODS)}."
        )
    return METHODS[name]


def options_of(function: Function) -> Mapping[str, Option]:
    """The keyword-only parameters of a method: `Annotated[float, Range(0, 1)]` and `Literal[...]` bound the value."""
    hints = get_type_hints(function, include_extras=True)
    keywords = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    return MappingProxyType({p.name: _option(p.name, p.default, hints[p.name]) for p in keywords})


def _option(name: str, default: Any, hint: Any) -> Option:
    bounds = None
    if get_origin(hint) is Annotated:
        hint, *extras = get_args(hint)
        bounds = next((extra for extra in extras if isinstance(extra, Range)), None)
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    return Option(name, default, "choice" if choices else getattr(hint, "__name__", str(hint)), bounds, choices)


def _check(method: str, option: Option, value: Any) -> None:
    where = f"Option {option.name!r} of method {method!r} is {value!r}"
    if option.choices and value not in option.choices:
        raise XrayInterpError(Code.BAD_OPTION, f"{where}.", f"Allowed: {', '.join(option.choices)}.")
    bounds = option.range
    if bounds is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not bounds.low <= value <= bounds.high:
        raise XrayInterpError(Code.BAD_OPTION, f"{where}.", f"Allowed: a number from {bounds.low} to {bounds.high}.")
