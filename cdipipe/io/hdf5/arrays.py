"""Datasets that are read piece by piece, and which of their chunks were ever written."""

from __future__ import annotations

import functools
import math
from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import check_size
from cdipipe.io.stored import Index, StoredArray, box_shape


class Hdf5Array(StoredArray):
    """A dataset that lies in its file."""

    def __init__(self, dataset: h5py.Dataset, where: str):
        super().__init__(dataset.shape, dataset.dtype, where)
        self.dataset = dataset
        self.chunks = dataset.chunks
        if self.chunks:
            check_size(self.chunks, self.dtype.itemsize, f"{where}: one chunk")
            self.frames_together = self.chunks[0]
            self.frames_first = len(self.shape) > 2 and self.chunks[-2:] == self.shape[-2:] and self.chunks[0] == 1
        else:
            self._check_stored()

    def _check_stored(self) -> None:
        stored = self.dataset.id.get_storage_size()
        if stored not in (0, self.nbytes):
            raise InputError(f"{self.where} declares {self.nbytes} bytes, but {stored} are stored: damaged")

    @functools.cached_property
    def _grid(self) -> np.ndarray | None:
        """Which chunks were written, in the shape of their grid; None: all of them."""
        if self.chunks is None:
            empty = self.nbytes > 0 and self.dataset.id.get_storage_size() == 0
            return np.zeros((1,) * len(self.shape), bool) if empty else None
        shape = tuple(math.ceil(size / step) for size, step in zip(self.shape, self.chunks, strict=True))
        if self.dataset.id.get_num_chunks() >= math.prod(shape):
            return None
        check_size(shape, 1, f"{self.where}: its chunks")
        grid = np.zeros(shape, bool)

        def note(chunk: Any) -> None:
            place = tuple(offset // step for offset, step in zip(chunk.chunk_offset, self.chunks, strict=True))
            if all(at < size for at, size in zip(place, shape, strict=True)):
                grid[place] = True

        self.dataset.id.chunk_iter(note)
        return None if grid.all() else grid

    @property
    def complete(self) -> bool:
        return self._grid is None

    def get(self, index: Index) -> np.ndarray:
        if self._grid is not None and not self.written(index).any():
            return np.full(box_shape(index), self.dataset.fillvalue or 0, self.dtype)
        return self.dataset[index]

    def written(self, index: Index) -> np.ndarray:
        if self._grid is None:
            return super().written(index)
        result = self._grid
        for axis, piece in enumerate(index):
            step = self.chunks[axis] if self.chunks else self.shape[axis]
            result = np.take(result, np.arange(piece.start, piece.stop) // step, axis)
        return result

    def present(self) -> np.ndarray:
        if self._grid is None:
            return super().present()
        step = self.chunks[0] if self.chunks else self.shape[0]
        entries = self._grid.reshape(len(self._grid), -1).any(1)
        return entries[np.arange(self.shape[0]) // step]
