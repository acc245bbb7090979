"""Texts of variable length, which libhdf5 reads from a heap: if that is damaged it loops for ever.

A process of its own reads them first, once for every file, and is ended where it does not come back.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import h5py

from cdipipe.errors import InputError
from cdipipe.io.apart import comes_back
from cdipipe.io.hdf5.opening import open_file

SECONDS = 20
MOST_OBJECTS = 20_000


def check_heap(file: h5py.File) -> None:
    """Raise InputError where reading the texts of this file would not come back."""
    path = file.filename
    if not os.path.isfile(path):  # a file object in memory
        return
    state = os.stat(path)
    if not _comes_back(path, (state.st_mtime_ns, state.st_size)):
        raise InputError(f"{path}: damaged HDF5 file (its texts cannot be read)")


@functools.lru_cache(maxsize=256)
def _comes_back(path: str, _version: tuple[int, int]) -> bool:
    """Whether another process gets through all texts of the file."""
    return comes_back(lambda: _open_and_read(path), SECONDS)


def _open_and_read(path: str) -> None:
    with open_file(path) as file:
        _read_texts(file)


def _read_texts(file: h5py.File) -> None:
    seen = 0

    def visit(_: str, node: Any) -> bool | None:
        nonlocal seen
        seen += 1
        try:
            for name in node.attrs:
                if is_text(node.attrs.get_id(name).dtype):
                    node.attrs[name]
            if isinstance(node, h5py.Dataset) and node.shape in ((), (1,)) and is_text(node.dtype):
                node[()]
        except (OSError, RuntimeError, ValueError, KeyError, TypeError):
            pass
        return True if seen > MOST_OBJECTS else None

    visit("/", file["/"])
    file.visititems(visit)


def is_text(dtype: Any) -> bool:
    """Whether values of this type are texts of variable length."""
    kind = h5py.check_string_dtype(dtype)
    return kind is not None and kind.length is None
