"""HDF5 files that are written whole or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py

from cdipipe.io.atomic import atomic_path


class _Sink:
    """File object for HDF5 that remembers a failed write instead of failing inside the library.

    libhdf5 cannot close a file it could not write (a full disk); so it never learns of it.
    """

    def __init__(self, raw: Any):
        self.raw, self.failure = raw, None

    def _try(self, action: Any, *arguments: Any) -> Any:
        try:
            return action(*arguments)
        except BaseException as failure:
            self.failure = self.failure or failure
            return None

    def _write_all(self, buffer: Any) -> None:
        rest = memoryview(buffer)
        while len(rest):
            rest = rest[self.raw.write(rest) :]

    def write(self, buffer: Any) -> int:
        if self.failure is None:
            self._try(self._write_all, buffer)
        return len(buffer)

    def read(self, size: int = -1) -> bytes:
        return self.raw.read(size)

    def readinto(self, buffer: Any) -> int:
        return self._try(self.raw.readinto, buffer) or 0

    def truncate(self, size: int) -> int:
        if self.failure is None:
            self._try(self.raw.truncate, size)
        return size

    def flush(self) -> None:
        if self.failure is None:
            self._try(self.raw.flush)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.raw.seek(offset, whence)

    def tell(self) -> int:
        return self.raw.tell()


@contextlib.contextmanager
def create_file(path: str | Path) -> Iterator[h5py.File]:
    """A new HDF5 file that appears at ``path`` when the block has succeeded, and else never.

    Raises
    ------
    InputError, OSError
        As :func:`cdipipe.io.atomic.atomic_path`; a full disk is an ``OSError`` with ``ENOSPC``.
    """
    with atomic_path(path) as part, open(part, "w+b", buffering=0) as raw:
        sink = _Sink(raw)
        with h5py.File(sink, "w", libver=("v110", "v110")) as file:  # whose headers have checksums
            yield file
            if sink.failure is not None:
                raise sink.failure
        if sink.failure is not None:
            raise sink.failure
