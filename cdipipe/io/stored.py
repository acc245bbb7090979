"""Arrays that are read piece by piece, as a file stores them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

Index = tuple[slice, ...]
"""A box of an array: one slice of step 1 for every axis."""


class StoredArray(ABC):
    """An array in a file, of any number of axes.

    Parameters
    ----------
    shape, dtype : of the array; nothing is read to know them
    where : file and name, for messages

    Attributes
    ----------
    frames_together : how many entries of the first axis are best read together
    frames_first : whether the format says that the first axes count frames
    """

    frames_together = 1
    frames_first = False

    def __init__(self, shape: Sequence[int], dtype: np.dtype, where: str):
        self.shape, self.dtype, self.where = tuple(int(size) for size in shape), np.dtype(dtype), where

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def whole(self) -> Index:
        """The box that is all of it."""
        return tuple(slice(0, size) for size in self.shape)

    @property
    def complete(self) -> bool:
        """Whether everything was written; if not, :meth:`written` tells what."""
        return True

    @property
    def missing(self) -> list[str]:
        """Files that hold parts of it and do not exist, as far as is known once :attr:`complete` was asked for."""
        return []

    @abstractmethod
    def get(self, index: Index) -> np.ndarray:
        """Values of a box, in the type of the file."""

    def written(self, index: Index) -> np.ndarray:
        """Bool, the shape of a box: which of its values were ever written."""
        return np.ones(box_shape(index), bool)

    def present(self) -> np.ndarray:
        """Bool (N,): of which entries of the first axis anything was written."""
        return np.ones(self.shape[0] if self.shape else 1, bool)

    def all(self) -> np.ndarray:
        """The whole array."""
        return self.get(self.whole)


def box_shape(index: Index) -> tuple[int, ...]:
    """Shape of a box."""
    return tuple(piece.stop - piece.start for piece in index)


class HeldArray(StoredArray):
    """An array in memory."""

    def __init__(self, values: np.ndarray, where: str):
        super().__init__(values.shape, values.dtype, where)
        self.values, self.frames_together = values, max(1, self.shape[0] if self.shape else 1)

    def get(self, index: Index) -> np.ndarray:
        return self.values[index]


class Chained(StoredArray):
    """Arrays one after another along the first axis: frames (H, W), or blocks (n, H, W) of them."""

    frames_first = True

    def __init__(self, members: Sequence[StoredArray], where: str):
        self.members = list(members)
        self.single = len(self.members[0].shape) == 2
        counts = [1 if self.single else member.shape[0] for member in self.members]
        self.starts = np.cumsum([0, *counts])
        frame = self.members[0].shape if self.single else self.members[0].shape[1:]
        dtype = np.result_type(*{member.dtype for member in self.members})
        super().__init__((int(self.starts[-1]), *frame), dtype, where)
        self.frames_together = 1 if self.single else self.members[0].frames_together

    @property
    def complete(self) -> bool:
        return all(member.complete for member in self.members)

    @property
    def missing(self) -> list[str]:
        return [name for member in self.members for name in member.missing]

    def _pieces(self, frames: slice):
        """Members that hold some of the frames: the member, its own frames, and their place in the box."""
        first = int(np.searchsorted(self.starts, frames.start, side="right")) - 1
        for number in range(max(first, 0), len(self.members)):
            start, stop = int(self.starts[number]), int(self.starts[number + 1])
            if start >= frames.stop:
                return
            low, high = max(start, frames.start), min(stop, frames.stop)
            if low < high:
                here = slice(low - frames.start, high - frames.start)
                yield self.members[number], slice(low - start, high - start), here

    def _collect(self, index: Index, method: str, dtype: np.dtype) -> np.ndarray:
        result = np.empty(box_shape(index), dtype)
        for member, own, here in self._pieces(index[0]):
            box = index[1:] if self.single else (own, *index[1:])
            result[here] = getattr(member, method)(box)
        return result

    def get(self, index: Index) -> np.ndarray:
        return self._collect(index, "get", self.dtype)

    def written(self, index: Index) -> np.ndarray:
        return self._collect(index, "written", np.dtype(bool))

    def present(self) -> np.ndarray:
        if self.single:
            return np.array([bool(member.present().any()) for member in self.members])
        return np.concatenate([member.present() for member in self.members])
