"""Reads DICOM attributes so that a wrong value is a typed error or an absence, never a surprise."""

from __future__ import annotations

import math
from typing import Any

from pydicom.datadict import dictionary_description, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from ..errors import Code, XrayInterpError

_HINT = "The file may have been cut off or changed; export it again."


def named(keyword: str) -> str:
    """An attribute as people write it: "Rows (0028,0010)"."""
    tag = Tag(tag_for_keyword(keyword) or 0)
    return f"{dictionary_description(tag)} ({tag.group:04X},{tag.element:04X})"


def damaged(message: str) -> XrayInterpError:
    """The refusal of a file whose header or pixel data cannot be used."""
    return XrayInterpError(Code.CORRUPT_PIXELS, message, _HINT)


def values(dataset: Dataset, keyword: str) -> list[Any]:
    """All values of an attribute; empty where it is absent, empty or unreadable."""
    try:
        value = dataset.get(keyword)
    except Exception:  # pydicom converts on access and raises ValueError, TypeError, struct.error and more
        return []
    if value is None or value == "":
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def text(dataset: Dataset, keyword: str) -> str:
    """The first value as upper-case text without padding; "" where there is none."""
    found = values(dataset, keyword)
    return str(found[0]).strip(" \0").upper() if found else ""


def numbers(dataset: Dataset, keyword: str) -> list[float | None]:
    """All values as finite numbers, None in the place of each that is not one."""
    return [_finite(value) for value in values(dataset, keyword)]


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite number, or None."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def integer(dataset: Dataset, keyword: str, low: int, high: int, default: int | None = None) -> int:
    """The first value as an integer in [low, high].

    Raises:
        XrayInterpError: `corrupt-pixels` where it is absent without a default, unreadable or out of range.
    """
    try:
        present = keyword in dataset and dataset[keyword].value not in (None, "")
    except Exception:  # see values()
        raise damaged(f"The value of {named(keyword)} cannot be read.") from None
    if not present:
        if default is None:
            raise damaged(f"The header lacks {named(keyword)}.")
        return default
    value = number(dataset, keyword)
    if value is None or value != int(value):
        raise damaged(f"{named(keyword)} is not a whole number.")
    if not low <= value <= high:
        raise damaged(f"{named(keyword)} is {int(value)}; it must be between {low} and {high}.")
    return int(value)


def items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty where it is absent or unreadable."""
    return [item for item in values(dataset, keyword) if isinstance(item, Dataset)]


def _finite(value: Any) -> float | None:
    try:
        converted = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return converted if math.isfinite(converted) else None
