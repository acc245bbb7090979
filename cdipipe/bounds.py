"""Bounds of all that is given as settings: numbers that arithmetic survives, and no more of them than make sense."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, model_validator

LARGEST, SMALLEST = 1e30, 1e-30
LARGEST_INTEGER = 2**63 - 1
MOST_VALUES = 10_000
LONGEST_TEXT = 65_536
DEEPEST = 64


class Bounded(BaseModel):
    """A record whose values are within these bounds, whatever the fields say beyond; NaN and infinity are not."""

    @model_validator(mode="before")
    @classmethod
    def _within_bounds(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            for name, value in given.items():
                if fault := out_of_bounds(value):
                    raise ValueError(f"{str(name)[:60]}: {fault}")
        return given


def out_of_bounds(value: Any, depth: int = 0) -> str | None:
    """What is wrong with plain data of any depth; None if it is within bounds.

    Parameters
    ----------
    depth : how many lists and mappings it is in
    """
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int):
        return None if abs(value) <= LARGEST_INTEGER else "a whole number beyond 2^63"
    if isinstance(value, float):
        return _fault_of_number(value)
    if isinstance(value, str):
        return None if len(value) <= LONGEST_TEXT else f"a text of {len(value)} characters"
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, (list, tuple, set, frozenset)):
        return None
    if len(value) > MOST_VALUES:
        return f"{len(value)} values; at most {MOST_VALUES} are taken"
    if depth > DEEPEST:
        return f"brackets more than {DEEPEST} deep"
    return next((fault for part in value if (fault := out_of_bounds(part, depth + 1))), None)


def _fault_of_number(value: float) -> str | None:
    if not math.isfinite(value):
        return f"{value} is not a usable number"
    if value and not SMALLEST <= abs(value) <= LARGEST:
        return f"{value:g} is out of range; numbers are 0, or between {SMALLEST:g} and {LARGEST:g}"
    return None
