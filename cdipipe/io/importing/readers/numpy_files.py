"""Arrays of NumPy: npy, and npz with several of them."""

from __future__ import annotations

import math
import zipfile
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.readers.container import (
    ONLY,
    Container,
    RawArray,
    Turned,
    check_kind,
    is_real,
    listed,
    why_not_real,
)
from cdipipe.io.memory import check_size
from cdipipe.io.stored import Index, StoredArray, box_shape


def read_header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis runs fastest, and type; nothing is unpickled."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    return read(file)


def open_npy(path: Path, label: str, stack: ExitStack) -> Container:
    """NumPy array file."""
    with open(path, "rb") as file:
        shape, is_fortran, dtype = read_header(file)
        check_kind(dtype, label)
        offset = file.tell()
    _check_held(shape, dtype, path.stat().st_size - offset, label)
    stored = tuple(reversed(shape)) if is_fortran else shape
    array = RawArray(stored, dtype, label, str(path), offset)
    return Container("npy", label, {ONLY: listed(_in_order(array, is_fortran))})


def _in_order(array: StoredArray, is_fortran: bool) -> StoredArray:
    return Turned(array) if is_fortran and len(array.shape) > 1 else array


def _check_held(shape: tuple[int, ...], dtype: np.dtype, held: int, label: str) -> None:
    """Raise InputError where the file has fewer bytes than its header says, or could never be held at all."""
    need = math.prod(shape) * dtype.itemsize
    if need > held:
        check_size(shape, dtype.itemsize, label)
        raise InputError(f"{label}: cut off, declares {need} bytes of values but holds {max(held, 0)}")


def open_npz(path: Path, label: str, stack: ExitStack) -> Container:
    """NumPy archive."""
    archive = stack.enter_context(zipfile.ZipFile(path))
    container = Container("npz", label, {})
    for item in archive.infolist():
        if not item.filename.endswith(".npy"):
            continue
        name, where = item.filename.removesuffix(".npy"), f"{label}: {item.filename}"
        with archive.open(item) as file:
            shape, is_fortran, dtype = read_header(file)
            start = file.tell()
        if not is_real(dtype):
            container.refused[name] = why_not_real(dtype)
            continue
        _check_held(shape, dtype, item.file_size - start, where)
        stored = tuple(reversed(shape)) if is_fortran else shape
        array = Member(stored, dtype, where, archive, item, start)
        container.arrays[name] = listed(_in_order(array, is_fortran))
    return container


class Member(StoredArray):
    """An array in an archive, which is unpacked from its beginning on."""

    BLOCK_BYTES = 2**24

    def __init__(self, shape, dtype, where: str, archive: zipfile.ZipFile, item: zipfile.ZipInfo, start: int):
        super().__init__(shape, dtype, where)
        self.archive, self.item, self.start = archive, item, start
        self._file: IO[bytes] | None = None

    def _at(self, place: int) -> IO[bytes]:
        """The unpacked bytes from a place on; going back begins anew."""
        if self._file is None or self._file.tell() > place:
            self._file = self.archive.open(self.item)
        while (ahead := place - self._file.tell()) > 0:
            if not self._file.read(min(ahead, self.BLOCK_BYTES)):
                break
        return self._file

    def get(self, index: Index) -> np.ndarray:
        result = np.empty(box_shape(index), self.dtype)
        entry = math.prod(self.shape[1:]) * self.dtype.itemsize
        first = index[0] if index else slice(0, 1)
        step = max(1, self.BLOCK_BYTES // max(entry, 1))
        for start in range(first.start, first.stop, step):
            count = min(step, first.stop - start)
            content = self._at(self.start + start * entry).read(count * entry)
            if len(content) != count * entry:
                raise InputError(f"{self.where}: cut off, ends before entry {start + count}")
            block = np.frombuffer(content, self.dtype).reshape(count, *self.shape[1:])
            if not index:
                return block[0]
            result[start - first.start : start - first.start + count] = block[(slice(None), *index[1:])]
        return result
