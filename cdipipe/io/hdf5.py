"""Reading HDF5 files of any origin and writing them whole; whatever is wrong with a file becomes an InputError."""

from __future__ import annotations

import contextlib
import math
import posixpath
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.io.memory import check_size

READ_FAULTS = (OSError, RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, MemoryError, EOFError)
READ_FAULTS += (AttributeError, NotImplementedError, SystemError, AssertionError, struct.error, zlib.error)
"""What libraries raise on a damaged file; InputError, a ValueError, is let through before these are caught."""

FAMILIES = {"number": "iuf", "complex": "iufc", "integer": "biu", "bool": "biuf"}
MAX_LINK_DEPTH = 16
MAX_TEXT_BYTES = 2**24


def one_line(error: BaseException) -> str:
    """The start of an error's text on one line."""
    text = " ".join(str(error).split())
    return (text[:200] + "...") if len(text) > 200 else text or type(error).__name__


@contextlib.contextmanager
def faults_are_input_errors(path: str | Path, what: str, faults: Any = READ_FAULTS) -> Iterator[None]:
    """Turn the ``faults`` that a library raises while it reads ``path`` into one InputError that names it."""
    try:
        yield
    except (InputError, FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except faults as error:
        raise InputError(f"{path}: {what} ({one_line(error)})") from error


def read_attribute(node: Any, name: str) -> str | float | None:
    """A number or a text of fixed length; None if absent or of another kind.

    Texts of variable length lie in a heap, and a damaged heap makes libhdf5 loop for ever; ours are fixed.
    """
    if name not in node.attrs:
        return None
    attribute = node.attrs.get_id(name)
    if attribute.shape != () or attribute.dtype.kind not in "Siuf":
        return None
    value = node.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value.item()


class Source:
    """An HDF5 file open for reading. Paths inside it are absolute; missing things are InputErrors or ``None``.

    Links are followed here and not by the library: external links and virtual datasets may lead to files in the same
    folder or below it and nowhere else, and raw external storage is refused.
    """

    def __init__(self, path: str | Path, stack: contextlib.ExitStack, content: Any = None):
        self.path = Path(path)
        self._stack = stack
        self._open_files: dict[Path, h5py.File] = {}
        self.file = self._open(self.path, content)

    def _open(self, path: Path, content: Any = None) -> h5py.File:
        key = path.resolve()
        if key not in self._open_files:
            if content is None and not h5py.is_hdf5(path):
                raise InputError(f"{path}: not an HDF5 file, or cut off at its start")
            self._open_files[key] = self._stack.enter_context(h5py.File(content or path, "r"))
        return self._open_files[key]

    def where(self, name: str) -> str:
        return f"{self.path}: {name}"

    def _beside(self, filename: str, name: str) -> Path:
        folder = self.path.resolve().parent
        target = (folder / filename).resolve()
        if not target.is_relative_to(folder):
            raise InputError(f"{self.where(name)} leads to {filename}, outside the folder of this file: refused")
        if not target.is_file():
            raise InputError(f"{self.where(name)} leads to {filename}, which does not exist beside this file")
        return target

    def _follow(self, file: h5py.File, name: str, depth: int = 0) -> Any:
        """The object at ``name`` or None; soft and external links are resolved one by one."""
        if depth > MAX_LINK_DEPTH:
            raise InputError(f"{self.where(name)}: links lead in a circle")
        node: Any = file["/"]
        parts = [part for part in name.split("/") if part not in ("", ".")]
        for index, part in enumerate(parts):
            link = node.get(part, getlink=True) if isinstance(node, h5py.Group) else None
            rest = "/".join(parts[index + 1 :])
            if isinstance(link, h5py.SoftLink):
                return self._follow(file, posixpath.join(node.name, link.path, rest), depth + 1)
            if isinstance(link, h5py.ExternalLink):
                other = self._open(self._beside(link.filename, name))
                return self._follow(other, posixpath.join(link.path, rest), depth + 1)
            if link is None:
                return None
            node = node[part]
        return node

    def get(self, name: str) -> Any:
        """Group or dataset at ``name``, or None."""
        return self._follow(self.file, name)

    def group_names(self, name: str) -> list[str]:
        """Names inside a group; empty if there is no such group."""
        node = self.get(name)
        return list(node.keys()) if isinstance(node, h5py.Group) else []

    def _check_storage(self, dataset: h5py.Dataset, name: str) -> None:
        if dataset.external:
            raise InputError(f"{self.where(name)} keeps its values in another file: refused")
        if dataset.is_virtual:
            for source in dataset.virtual_sources():
                if source.file_name != ".":
                    self._beside(source.file_name, name)
            return
        stored, declared = dataset.id.get_storage_size(), math.prod(dataset.shape) * dataset.dtype.itemsize
        if stored == 0 or (dataset.chunks is None and stored != declared):
            raise InputError(f"{self.where(name)} declares {declared} bytes, but {stored} are stored: damaged")

    def dataset(self, name: str) -> h5py.Dataset | None:
        """Dataset at ``name`` with safe storage, its filters loaded; None if absent or a group."""
        node = self.get(name)
        if not isinstance(node, h5py.Dataset):
            return None
        if node.shape is None:
            raise InputError(f"{self.where(name)} is empty")
        properties = node.id.get_create_plist()
        if any(properties.get_filter(index)[0] > 255 for index in range(properties.get_nfilters())):
            import hdf5plugin  # noqa: F401  registers the filters of detectors
        return node

    def array(self, name: str, family: str = "number", dtype: Any = None) -> np.ndarray | None:
        """Values of a dataset, or None if it is absent.

        Parameters
        ----------
        family : ``number`` (real), ``complex``, ``integer`` or ``bool``; anything else in the file is an InputError
        dtype : type to convert to while reading; ``None`` keeps the file's

        Raises
        ------
        InputError
            The values are of another kind, are not all stored, or would not fit into memory.
        """
        dataset = self.dataset(name)
        if dataset is None:
            return None
        if dataset.dtype.kind not in FAMILIES[family]:
            raise InputError(f"{self.where(name)} holds values of type {dataset.dtype}; allowed: {family}")
        target = np.dtype(dtype or dataset.dtype)
        check_size(dataset.shape, max(target.itemsize, dataset.dtype.itemsize), self.where(name))
        self._check_storage(dataset, name)
        with np.errstate(over="ignore", invalid="ignore"):
            is_complex = "c" in (dataset.dtype.kind, target.kind)
            return dataset[()].astype(target) if is_complex else dataset.astype(target)[()]

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
        if h5py.check_string_dtype(dataset.dtype) is None or dataset.shape not in ((), (1,)):
            raise InputError(f"{self.where(name)} should be one text; it is {dataset.dtype} of shape {dataset.shape}")
        if dataset.dtype.itemsize > MAX_TEXT_BYTES:
            raise InputError(f"{self.where(name)} declares a text of {dataset.dtype.itemsize} bytes: damaged")
        value = dataset[()] if dataset.shape == () else dataset[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def _is_small(self, name: str) -> bool:
        node = self.get(name)
        return isinstance(node, h5py.Dataset) and node.dtype.kind in "iuf" and (node.size or 0) <= 2**20


@contextlib.contextmanager
def open_source(path: str | Path, content: Any = None) -> Iterator[Source]:
    """Open an HDF5 file for reading; whatever goes wrong in the block is an InputError that names it.

    Parameters
    ----------
    content : a binary file object to read instead of ``path``, which then only gives the name
    """
    with faults_are_input_errors(path, "damaged HDF5 file"), contextlib.ExitStack() as stack:
        if content is None:
            with open(path, "rb"):  # a missing or forbidden file is named by the system
                pass
        yield Source(path, stack, content)


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
