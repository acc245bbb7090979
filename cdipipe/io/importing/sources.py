"""Stacks (N, H, W) of patterns that are read piece by piece."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.frames import Part, as_slice, runs, whole_frames
from cdipipe.io.memory import check_size
from cdipipe.io.stored import StoredArray


class PatternSource(ABC):
    """A stack of patterns (N, H, W) in the numbers of its file."""

    frames_together = 1

    def __init__(self, shape: tuple[int, int, int], dtype: np.dtype, where: str):
        self.shape, self.dtype, self.where = shape, np.dtype(dtype), where

    @property
    def frame_bytes(self) -> int:
        return max(1, math.prod(self.shape[1:]) * self.dtype.itemsize)

    @abstractmethod
    def read(self, part: Part) -> np.ndarray:
        """Values (n, h, w) of a part, in the file's type."""

    @property
    @abstractmethod
    def complete(self) -> bool:
        """Whether everything was written; if not, :meth:`written` tells what."""

    @abstractmethod
    def written(self, part: Part) -> np.ndarray:
        """Bool (n, h, w): which values were ever written."""

    @abstractmethod
    def present(self) -> np.ndarray:
        """Bool (N,): of which frames anything was written."""


def _hull(numbers: np.ndarray) -> tuple[slice, np.ndarray | None]:
    """The slice around some indices, and these within it where they are not all of it in order."""
    if isinstance(found := as_slice(numbers), slice):
        return found, None
    low, high = int(numbers.min()), int(numbers.max())
    return slice(low, high + 1), numbers - low


@dataclass(frozen=True)
class Order:
    """Which axes of an array count frames (flattened in this order), rows and columns; the others have length 1."""

    frames: tuple[int, ...]
    row: int
    column: int


class Stacked(PatternSource):
    """One stored array as a stack."""

    def __init__(self, array: StoredArray, order: Order):
        self.array, self.order = array, order
        check_size((max(array.shape),), 8, array.where)
        self.lead = tuple(array.shape[axis] for axis in order.frames)
        shape = (math.prod(self.lead), array.shape[order.row], array.shape[order.column])
        super().__init__(shape, array.dtype, array.where)
        self.frames_together = array.frames_together if order.frames == (0,) else 1

    def _boxes(self, part: Part):
        """Boxes of the array that make up the frames of a part, in order."""
        if not self.lead:
            yield (), len(part.frames)
            return
        for run in runs(part.frames):
            first = np.unravel_index(run, self.lead)
            changes = np.any([np.diff(axis) != 0 for axis in first[:-1]], axis=0) if len(first) > 1 else ()
            for piece in np.split(run, np.flatnonzero(changes) + 1):
                place = np.unravel_index(piece, self.lead)
                yield (
                    tuple(slice(int(axis[0]), int(axis[-1]) + 1) for axis in place),
                    len(piece),
                )

    def _collect(self, part: Part, get, dtype) -> np.ndarray:
        (rows, inner_rows), (columns, inner_columns) = _hull(part.rows), _hull(part.columns)
        result, at = np.empty(part.shape, dtype), 0
        for lead, count in self._boxes(part):
            index = [slice(0, 1)] * len(self.array.shape)
            for axis, piece in zip(self.order.frames, lead, strict=True):
                index[axis] = piece
            index[self.order.row], index[self.order.column] = rows, columns
            box = get(tuple(index))
            rest = [a for a in range(box.ndim) if a not in (*self.order.frames, self.order.row, self.order.column)]
            box = box.transpose(*rest, *self.order.frames, self.order.row, self.order.column)
            box = box.reshape(count if lead else 1, *box.shape[-2:])
            box = box if inner_rows is None else box[:, inner_rows]
            result[at : at + count] = box if inner_columns is None else box[..., inner_columns]
            at += count
        return result

    def read(self, part: Part) -> np.ndarray:
        return self._collect(part, self.array.get, self.dtype)

    @property
    def complete(self) -> bool:
        return self.array.complete

    def written(self, part: Part) -> np.ndarray:
        return self._collect(part, self.array.written, bool)

    def present(self) -> np.ndarray:
        if self.order.frames[:1] != (0,):
            return np.ones(self.shape[0], bool)
        found = self.array.present()
        return np.repeat(found, self.shape[0] // max(len(found), 1))


class Joined(PatternSource):
    """Stacks of several files, one after another."""

    def __init__(self, parts: Sequence[PatternSource]):
        self.parts = list(parts)
        self.starts = np.cumsum([0, *(part.shape[0] for part in self.parts)])
        first = self.parts[0]
        dtype = np.result_type(*(part.dtype for part in self.parts))
        super().__init__((int(self.starts[-1]), *first.shape[1:]), dtype, first.where)
        self.frames_together = max(part.frames_together for part in self.parts)

    def _pieces(self, part: Part):
        owners = np.searchsorted(self.starts, part.frames, side="right") - 1
        for places in np.split(np.arange(len(owners)), np.flatnonzero(np.diff(owners)) + 1):
            owner = int(owners[places[0]])
            yield places, self.parts[owner], part.of_frames(part.frames[places] - self.starts[owner])

    def read(self, part: Part) -> np.ndarray:
        result = np.empty(part.shape, self.dtype)
        for places, owner, piece in self._pieces(part):
            result[places[0] : places[-1] + 1] = owner.read(piece)
        return result

    @property
    def complete(self) -> bool:
        return all(part.complete for part in self.parts)

    def written(self, part: Part) -> np.ndarray:
        result = np.ones(part.shape, bool)
        for places, owner, piece in self._pieces(part):
            result[places[0] : places[-1] + 1] = owner.written(piece)
        return result

    def present(self) -> np.ndarray:
        return np.concatenate([part.present() for part in self.parts])


class Picked(PatternSource):
    """Some frames of a stack."""

    def __init__(self, source: PatternSource, numbers: np.ndarray):
        super().__init__((len(numbers), *source.shape[1:]), source.dtype, source.where)
        self.source, self.numbers = source, numbers
        self.frames_together = source.frames_together if isinstance(as_slice(numbers), slice) else 1

    def read(self, part: Part) -> np.ndarray:
        return self.source.read(part.of_frames(self.numbers[part.frames]))

    @property
    def complete(self) -> bool:
        return self.source.complete

    def written(self, part: Part) -> np.ndarray:
        return self.source.written(part.of_frames(self.numbers[part.frames]))

    def present(self) -> np.ndarray:
        return self.source.present()[self.numbers]


class Remembered(PatternSource):
    """A small stack, read once and kept."""

    def __init__(self, source: PatternSource):
        super().__init__(source.shape, source.dtype, source.where)
        self.source, self.frames_together = source, source.shape[0]
        self._values: np.ndarray | None = None

    @property
    def complete(self) -> bool:
        return self.source.complete

    def read(self, part: Part) -> np.ndarray:
        if self._values is None:
            self._values = self.source.read(whole_frames(self.shape))
        return np.array(part.cut(self._values))

    def written(self, part: Part) -> np.ndarray:
        return self.source.written(part)

    def present(self) -> np.ndarray:
        return self.source.present()


def join(parts: Sequence[PatternSource], names: Sequence[str]) -> PatternSource:
    """Several stacks as one. Raises InputError where the patterns differ in shape."""
    for part, name in zip(parts, names, strict=True):
        if part.shape[1:] != parts[0].shape[1:]:
            raise InputError(
                f"{name}: shape {part.shape[1:]} of its patterns does not go with {parts[0].shape[1:]} of {names[0]}; "
                "several files must hold patterns of one shape"
            )
    return parts[0] if len(parts) == 1 else Joined(parts)
