"""Which numbers of a file are no counts: marks of the detector, dummies, NaN, negative and absurdly large values.

Works on the numbers as the file has them: after a conversion to float32 a mark is no longer one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError

LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
WRAPPED_NEGATIVES = 16
"""-1 to -16 stored unsigned lie this close to the maximum of 32 and 64 bits."""
FOREIGN_MARKS = (2**64 - 1, 2**64 - 2, 2**63 - 1, 2**32 - 1, 2**32 - 2, 2**31 - 1)
"""Maxima of narrower and wider integers: what a conversion leaves of a mark. No detector counts so far."""
SHORT_MARKS = (2**16 - 1, 2**16 - 2)
"""Maxima of 16 bits in a wider type: marks only where they are the largest value, more than once."""
LEAST_REPEATS = 2


@dataclass(frozen=True)
class Dummy:
    """A value that stands for "no count here", as EDF headers give it: ``|count - value| <= tolerance``."""

    value: float
    tolerance: float = 0.0

    def is_at(self, values: np.ndarray) -> np.ndarray:
        """Where ``values`` hold the dummy, also a negative one that was stored unsigned."""
        wanted, tolerance = self.value, self.tolerance
        if values.dtype.kind == "u" and wanted < 0:
            wanted += 2.0 ** (8 * values.dtype.itemsize)
        if values.dtype.kind == "f":
            tolerance = max(tolerance, abs(float(np.spacing(values.dtype.type(wanted)))))
        with np.errstate(invalid="ignore", over="ignore"):
            return np.abs(values.astype(np.float64, copy=False) - wanted) <= tolerance


@dataclass(frozen=True)
class Marks:
    """The numbers of one file that are no counts.

    Parameters
    ----------
    numbers : marks in the file's own type, such as 4294967295
    dummies : values that the file's header declares to be none
    keep_negative : negative numbers are counts (read noise, a subtracted background)
    """

    numbers: tuple = ()
    dummies: tuple[Dummy, ...] = ()
    keep_negative: bool = False

    def reasons(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Where numbers of the file are no counts, as bool arrays by reason; no pixel has two, none is empty.

        ``not_finite``, ``dummy``, ``mark_N`` (such as ``mark_4294967295``), ``beyond_float32``, ``negative``

        Raises
        ------
        InputError   different numbers are beyond float32: the values have another unit
        """
        found = _Reasons(values.shape)
        if values.dtype.kind == "b" or values.size == 0:
            return found.by_name
        is_float = values.dtype.kind == "f"
        with np.errstate(invalid="ignore"):
            if is_float:
                found.book("not_finite", ~np.isfinite(values))
            for dummy in self.dummies:
                found.book("dummy", dummy.is_at(values))
            if self.numbers and np.nanmax(values, initial=0) >= min(self.numbers):
                for number in self.numbers:
                    found.book(f"mark_{_spelled(number)}", values == number)
            if is_float and values.dtype.itemsize > 4:
                found.book("beyond_float32", _beyond(values))
            if not self.keep_negative and values.dtype.kind != "u":
                found.book("negative", values < 0)
        return found.by_name


class _Reasons:
    """Pixels by the first reason that held for them."""

    def __init__(self, shape: tuple[int, ...]):
        self.by_name: dict[str, np.ndarray] = {}
        self._taken = np.zeros(shape, dtype=bool)

    def book(self, name: str, where: np.ndarray) -> None:
        where = where & ~self._taken
        if where.any():
            self.by_name[name] = self.by_name[name] | where if name in self.by_name else where
            self._taken |= where


def _beyond(values: np.ndarray) -> np.ndarray:
    """Finite numbers beyond float32: one number, however often, is a mark; several are another unit."""
    beyond = np.isfinite(values) & (np.abs(values) > LARGEST_FLOAT32)
    found = values[beyond]
    if found.size and (found != found[0]).any():
        raise InputError(
            f"{found.size} values are beyond {LARGEST_FLOAT32:.3g}, the largest number that is held in single "
            f"precision (the largest is {np.abs(found).max():.3g}): these are no photon counts; divide by a constant"
        )
    return beyond


def _spelled(mark) -> str:
    return f"{int(mark)}" if abs(float(mark)) < 1e20 else f"{float(mark):.3g}"


def _own_marks(dtype: np.dtype) -> set:
    """Maxima of the type itself, and small negative numbers that were stored unsigned."""
    if dtype.kind == "f":
        return {dtype.type(np.finfo(dtype).max), dtype.type(min(LARGEST_FLOAT32, np.finfo(dtype).max))}
    top = int(np.iinfo(dtype).max)
    if dtype.kind == "i" or dtype.itemsize == 1:
        return {top}
    return {top, top - 1} if dtype.itemsize == 2 else {top - back for back in range(WRAPPED_NEGATIVES)}


def _foreign_marks(dtype: np.dtype) -> set:
    """Maxima of other integer types as this type holds them."""
    if dtype.kind == "f":
        return {dtype.type(mark) for mark in FOREIGN_MARKS} if dtype.itemsize > 2 else set()
    return {mark for mark in FOREIGN_MARKS if mark <= np.iinfo(dtype).max}


def choose_marks(
    dtype: np.dtype, samples: Iterable[np.ndarray], dummies: tuple[Dummy, ...] = (), keep_negative: bool = False
) -> Marks:
    """The marks of a file.

    Parameters
    ----------
    dtype : of the numbers in the file
    samples : a few of its frames; 65535 and 65534 in a type of more than 16 bits are marks only where they are the
        largest number there, and more than one pixel has it
    dummies, keep_negative : as in Marks
    """
    if dtype.kind == "b":
        return Marks()
    certain = _own_marks(dtype) | _foreign_marks(dtype)
    short = _short_marks(samples, certain) if dtype.itemsize > 2 else set()
    return Marks(tuple(sorted(certain | short, reverse=True)), dummies, keep_negative)


def _short_marks(samples: Iterable[np.ndarray], certain: set) -> set:
    """16-bit marks that are the largest number of the samples, with :data:`LEAST_REPEATS` pixels or more."""
    high = [sample[sample >= SHORT_MARKS[-1]] for sample in samples]
    values = np.concatenate(high) if high else np.zeros(0)
    values = values[np.isfinite(values) & ~np.isin(values, list(certain))]
    found: set = set()
    for mark in SHORT_MARKS:
        if (values > mark).any():
            break
        if np.count_nonzero(values == mark) >= LEAST_REPEATS:
            found.add(mark)
        values = values[values != mark]
    return found


def to_counts(values: np.ndarray, reasons: dict[str, np.ndarray]) -> np.ndarray:
    """Numbers of a file as float32, 0 where they are no counts."""
    with np.errstate(over="ignore", invalid="ignore"):
        counts = np.array(values, dtype=np.float32, order="C")
    for where in reasons.values():
        counts[where] = 0
    return counts
