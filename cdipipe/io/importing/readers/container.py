"""The arrays of one file, whatever its format."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.files import reading
from cdipipe.io.stored import Index, StoredArray, box_shape

REAL_KINDS = "biuf"
ONLY = ""
"""Name of the array in formats that hold one."""


@dataclass(frozen=True)
class Listed:
    """An array of a file that is not opened yet.

    Parameters
    ----------
    shape, dtype : as the file lists them; dtype is None where it does not
    open : opens it; raises InputError where it cannot be read or holds no real numbers
    """

    shape: tuple[int, ...]
    dtype: np.dtype | None
    open: Callable[[], StoredArray]


def listed(array: StoredArray) -> Listed:
    """An array that is open already."""
    return Listed(array.shape, array.dtype, lambda: array)


@dataclass
class Container:
    """The arrays of one file, nothing read yet.

    Parameters
    ----------
    kind : ``npy``, ``npz``, ``tif``, ``mat``, ``edf``, ``cbf``, ``hdf5`` or ``cxi``
    label : the file, for messages
    arrays : real ones by name; :data:`ONLY` where there is one without a name
    groups : of arrays that are made of several others, the names of these
    aliases : further names of arrays, and the name under which each is listed
    refused : other arrays of two or more axes, and why they are no counts
    header : texts of an image header
    """

    kind: str
    label: str
    arrays: dict[str, Listed]
    groups: dict[str, tuple[str, ...]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)


def is_real(dtype: np.dtype) -> bool:
    """Whether values are real numbers."""
    return dtype.kind in REAL_KINDS and not dtype.hasobject


def why_not_real(dtype: np.dtype) -> str:
    """What values that are no real numbers are."""
    if dtype.kind == "c":
        return "complex numbers; intensities are real"
    return f"values of type {dtype}"[:200]


def check_kind(dtype: np.dtype, label: str) -> None:
    """Raise InputError unless values are real numbers."""
    if not is_real(dtype):
        raise InputError(f"{label}: holds {why_not_real(dtype)}; allowed: integers, floats, booleans")


class Guarded(StoredArray):
    """Another array, whose faults while reading are InputErrors that name its file."""

    def __init__(self, array: StoredArray, path: str):
        super().__init__(array.shape, array.dtype, array.where)
        self.array, self.path = array, path
        self.frames_together, self.frames_first = array.frames_together, array.frames_first

    @property
    def complete(self) -> bool:
        with reading(self.path):
            return self.array.complete

    @property
    def missing(self) -> list[str]:
        return self.array.missing

    def get(self, index: Index) -> np.ndarray:
        with reading(self.path):
            return self.array.get(index)

    def written(self, index: Index) -> np.ndarray:
        with reading(self.path):
            return self.array.written(index)

    def present(self) -> np.ndarray:
        with reading(self.path):
            return self.array.present()


class Turned(StoredArray):
    """Another array with its axes in the opposite order, as MATLAB counts them."""

    def __init__(self, array: StoredArray):
        super().__init__(array.shape[::-1], array.dtype, array.where)
        self.array = array

    @property
    def complete(self) -> bool:
        return self.array.complete

    @property
    def missing(self) -> list[str]:
        return self.array.missing

    def get(self, index: Index) -> np.ndarray:
        return self.array.get(index[::-1]).T

    def written(self, index: Index) -> np.ndarray:
        return self.array.written(index[::-1]).T


class RawArray(StoredArray):
    """Numbers that lie in a file one after another in C order, from some byte on."""

    BLOCK_BYTES = 2**24

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype, where: str, path: str, offset: int):
        super().__init__(shape, dtype.newbyteorder("="), where)
        self.path, self.offset, self.stored_dtype = path, offset, dtype

    def get(self, index: Index) -> np.ndarray:
        result = np.empty(box_shape(index), self.dtype)
        entry = math.prod(self.shape[1:]) * self.dtype.itemsize
        step = max(1, self.BLOCK_BYTES // max(entry, 1))
        with open(self.path, "rb") as file:
            for start in range(index[0].start, index[0].stop, step):
                count = min(step, index[0].stop - start)
                file.seek(self.offset + start * entry)
                block = np.fromfile(file, self.stored_dtype, count * (entry // self.dtype.itemsize))
                if block.size * self.dtype.itemsize != count * entry:
                    raise InputError(f"{self.where}: cut off, ends before frame {start + count}")
                place = slice(start - index[0].start, start - index[0].start + count)
                result[place] = block.reshape(count, *self.shape[1:])[(slice(None), *index[1:])]
        return result
