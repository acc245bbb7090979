"""Reading an HDF5 file: paths inside it, links, arrays, numbers and texts."""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.hdf5.datasets import open_array
from cdipipe.io.hdf5.faults import faults_are_input_errors
from cdipipe.io.hdf5.heap import check_heap, is_text
from cdipipe.io.hdf5.links import Files
from cdipipe.io.memory import check_size
from cdipipe.io.stored import StoredArray

FAMILIES = {"number": "iuf", "complex": "iufc", "integer": "biu", "bool": "biuf", "any": "biufcV"}
MAX_LINK_DEPTH = 16
MAX_TEXT_BYTES = 2**24
MOST_OBJECTS = 50_000


class Source:
    """An HDF5 file open for reading. Paths inside it are absolute; missing things are InputErrors or ``None``.

    Links and virtual datasets are followed here and not by the library (see :class:`cdipipe.io.hdf5.links.Files`), and
    raw external storage is refused.
    """

    def __init__(self, path: str | Path, stack: contextlib.ExitStack, content: Any = None):
        self.path = Path(path)
        self.files = Files(self.path, stack, content)
        self.file = self.files.first

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def step(self, group: h5py.Group, part: str, depth: int = 0) -> Any:
        """The object that a group calls ``part``, links followed, or None.

        Raises
        ------
        InputError   links lead in a circle, out of the folder, or to a file that does not exist
        """
        link = group.get(part, getlink=True)
        if isinstance(link, h5py.SoftLink):
            return self._follow(group.file, posixpath.join(group.name, link.path), depth + 1)
        if isinstance(link, h5py.ExternalLink):
            where = self.where(posixpath.join(group.name, part))
            target = self.files.locate(self.files.holder(group), link.filename, where)
            if target is None:
                raise InputError(f"{where} leads to {link.filename}, which does not exist beside this file")
            return self._follow(self.files.open(target), link.path, depth + 1)
        return None if link is None else group[part]

    def _follow(self, file: h5py.File, name: str, depth: int = 0) -> Any:
        """The object at ``name`` of one of the files, or None."""
        if depth > MAX_LINK_DEPTH:
            raise InputError(f"{self.where(name)}: links lead in a circle")
        node: Any = file["/"]
        for part in name.split("/"):
            if part not in ("", "."):
                node = self.step(node, part, depth) if isinstance(node, h5py.Group) else None
        return node

    def get(self, name: str) -> Any:
        """Group or dataset at ``name``, or None."""
        return self._follow(self.file, name)

    def get_in(self, path: Path, name: str) -> Any:
        """Group or dataset of another file, found by :meth:`Files.locate`."""
        return self._follow(self.files.open(path), name)

    def group_names(self, name: str) -> list[str]:
        """Names inside a group; empty if there is no such group."""
        node = self.get(name)
        return list(node.keys()) if isinstance(node, h5py.Group) else []

    def walk(self, start: str = "/") -> Iterator[tuple[str, Any]]:
        """Name and object of everything below a group, links followed, each group once.

        In place of an object that cannot be had stands the InputError that says why (a broken link), or None.
        """
        top = self.get(start)
        if not isinstance(top, h5py.Group):
            return
        seen, waiting, count = {identity(top)}, [(start.rstrip("/"), top)], 0
        while waiting:
            name, group = waiting.pop()
            below = []
            for part in sorted(group):
                count += 1
                if count > MOST_OBJECTS:
                    return
                path = f"{name}/{part}"
                node: Any
                try:
                    node = self.step(group, part)
                except InputError as error:
                    node = error
                except (OSError, KeyError, ValueError):
                    node = None
                yield path, node
                if isinstance(node, h5py.Group) and identity(node) not in seen:
                    seen.add(identity(node))
                    below.append((path, node))
            waiting += reversed(below)

    def dataset(self, name: str) -> h5py.Dataset | None:
        """Dataset at ``name``; None if absent or a group."""
        node = self.get(name)
        if not isinstance(node, h5py.Dataset):
            return None
        if node.shape is None:
            raise InputError(f"{self.where(name)} is empty")
        return node

    def stored(self, name: str, family: str = "number") -> StoredArray | None:
        """An array that is read piece by piece, or None if it is absent.

        Parameters
        ----------
        family : ``number`` (real), ``complex``, ``integer``, ``bool`` or ``any``; anything else is an InputError
        """
        dataset = self.dataset(name)
        if dataset is None:
            return None
        if dataset.dtype.kind not in FAMILIES[family]:
            raise InputError(f"{self.where(name)} holds values of type {dataset.dtype}; allowed: {family}")
        return open_array(self, dataset, self.where(name))

    def open(self, dataset: h5py.Dataset, where: str) -> StoredArray:
        """A dataset of any of the files as an array that is read piece by piece; ``where`` names it in messages."""
        return open_array(self, dataset, where)

    def array(self, name: str, family: str = "number", dtype: Any = None) -> np.ndarray | None:
        """Values of a dataset, or None if it is absent; what was never written is NaN in floating-point numbers.

        Parameters
        ----------
        family : ``number`` (real), ``complex``, ``integer`` or ``bool``; anything else in the file is an InputError
        dtype : type to convert to while reading; ``None`` keeps the file's

        Raises
        ------
        InputError
            The values are of another kind, were never written, or would not fit into memory.
        """
        stored = self.stored(name, family)
        if stored is None:
            return None
        target = np.dtype(dtype or stored.dtype)
        check_size(stored.shape, max(target.itemsize, stored.dtype.itemsize), self.where(name))
        if not stored.complete and not stored.present().any():
            raise InputError(f"{self.where(name)} has no values: none were ever written")
        with np.errstate(over="ignore", invalid="ignore"):
            values = stored.all().astype(target, copy=False)
        if not stored.complete and target.kind == "f":
            values[~stored.written(stored.whole)] = np.nan
        return values

    def number(self, name: str, signed: bool = False) -> float | None:
        """One finite positive (``signed``: non-zero) number; the median of a list; None if it is absent or neither."""
        values = self.array(name) if self._is_small(name) else None
        if values is None:
            return None
        if values.dtype == np.float32:  # 5.5e-05 rather than 5.500000042957254e-05
            values = values.astype(str)
        values = np.asarray(values, dtype=float)
        values = values[np.isfinite(values) & ((np.abs(values) if signed else values) > 0)]
        return float(np.median(values)) if values.size else None

    def text(self, name: str) -> str | None:
        """Text of a scalar string dataset, or None if it is absent."""
        dataset = self.dataset(name)
        if dataset is None:
            return None
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape not in ((), (1,)) or dataset.is_virtual:
            raise InputError(f"{self.where(name)} should be one text; it is {dataset.dtype} of shape {dataset.shape}")
        if dataset.dtype.itemsize > MAX_TEXT_BYTES:
            raise InputError(f"{self.where(name)} declares a text of {dataset.dtype.itemsize} bytes: damaged")
        if is_text(dataset.dtype):
            check_heap(dataset.file)
        value = dataset[()] if dataset.shape == () else dataset[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _is_small(self, name: str) -> bool:
        node = self.get(name)
        return isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf" and (node.size or 0) <= 2**20


def identity(node: Any) -> tuple[int, Any]:
    """What tells an object from every other, whatever path leads to it: its file, and its place there."""
    info = h5py.h5o.get_info(node.id)
    return info.fileno, info.addr


@contextlib.contextmanager
def open_source(path: str | Path, content: Any = None) -> Iterator[Source]:
    """Open an HDF5 file for reading; whatever goes wrong in the block is an InputError that names it.

    Parameters
    ----------
    content : a binary file object to read instead of ``path``, which then only gives the name
    """
    with faults_are_input_errors(path, "damaged HDF5 file"), contextlib.ExitStack() as stack:
        yield Source(path, stack, content)
