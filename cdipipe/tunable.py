"""Where the best value of a parameter may lie, as an annotation of its field: what ``cdipipe tune`` searches.

    beta: Annotated[float, Tune(0.5, 1.0)] = Field(0.9, gt=0, le=2)

Nothing else lists search spaces: the file of a method is the one place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tune:
    """A number between two ends, which are searched too; whole where the field is.

    Parameters
    ----------
    low, high : ends
    log : search on a logarithmic scale
    unset : what a field that is not given stands for
    """

    low: float
    high: float
    log: bool = False
    unset: float | None = None


@dataclass(frozen=True, init=False)
class TuneAmong:
    """One of some values."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any):
        object.__setattr__(self, "values", values)
