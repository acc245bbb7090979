"""MATLAB files: version 4 to 7 by scipy, 7.3 as HDF5. Structs and cells are looked into."""

from __future__ import annotations

import zlib
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.apart import comes_back
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.io.importing.readers.container import Container, Listed, Turned, check_kind, is_real, listed, why_not_real
from cdipipe.io.memory import check_size, memory_limit_bytes
from cdipipe.io.stored import Chained, HeldArray, Index, StoredArray

NUMERIC = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
COMPRESSED = 15
LOADED_BYTES = 2**28
SECONDS = 60
"""scipy crashes on some damaged structs: they are tried in another process first, for at most so long."""
MOST_CELLS = 100_000
DEEPEST = 8


def open_mat(path: Path, label: str, stack: ExitStack) -> Container:
    """MATLAB file of any version; arrays have their axes in MATLAB's order."""
    with open(path, "rb") as file:
        is_hdf5 = any(file.seek(start) == start and file.read(8) == HDF5_SIGNATURE for start in (0, 512))
    return _open_73(path, label, stack) if is_hdf5 else _open_5(path, label)


def _open_5(path: Path, label: str) -> Container:
    import scipy.io

    container = Container("mat", label, {})
    for name, shape, kind in scipy.io.whosmat(path):
        where = f"{label}: {name}"
        if kind in NUMERIC:
            container.arrays[name] = Listed(shape, None, lambda n=name, s=shape: _load_numbers(path, n, s, label))
        elif kind in ("struct", "cell"):
            _check_unpacked(path, label)
            if not comes_back(lambda n=name: _load(path, n, label), SECONDS):
                raise InputError(f"{where}: damaged, its {kind} cannot be read")
            _look_into(container, name, _load(path, name, label), where)
        elif len(shape) >= 2 and min(shape) > 1:
            container.refused[name] = f"values of type {kind}"
    _drop_complex(container, path)
    return container


def _load_numbers(path: Path, name: str, shape: tuple[int, ...], label: str) -> HeldArray:
    check_size(shape, 8, f"{label}: {name}")
    _check_unpacked(path, label)
    values = _load(path, name, label)
    check_kind(values.dtype, f"{label}: {name}")
    return HeldArray(values, f"{label}: {name}")


def _drop_complex(container: Container, path: Path) -> None:
    """Of several arrays those that are complex (a probe) are no candidates; MATLAB's list does not say which."""
    unknown = [name for name, each in container.arrays.items() if each.dtype is None and min(each.shape, default=0) > 1]
    if len(unknown) < 2 or path.stat().st_size > LOADED_BYTES:
        return
    for name in unknown:
        try:
            container.arrays[name] = listed(container.arrays[name].open())
        except InputError as error:
            if "complex" not in str(error):
                raise
            container.refused[name] = why_not_real(np.dtype(complex))
            del container.arrays[name]


def _load(path: Path, name: str, label: str) -> np.ndarray:
    import scipy.io

    values = scipy.io.loadmat(path, variable_names=[name])[name]
    if not isinstance(values, np.ndarray):
        raise InputError(f"{label}: {name} is not a full array")
    return values


def _check_unpacked(path: Path, label: str) -> None:
    """Raise InputError where the compressed variables of a file unpack to more than memory holds."""
    limit = memory_limit_bytes()
    with open(path, "rb") as file:
        file.seek(126)
        mark = file.read(2)
        if mark not in (b"IM", b"MI"):  # version 4, which is never compressed
            return
        order = "little" if mark == b"IM" else "big"
        while len(head := file.read(8)) == 8:
            kind, size = (int.from_bytes(head[at : at + 4], order) for at in (0, 4))
            if kind != COMPRESSED:
                file.seek(size + (-size % 8), 1)
                continue
            limit -= _unpacked_bytes(file.read(size), limit)
            if limit < 0:
                raise InputError(f"{label}: unpacks to more than the memory limit (CDIPIPE_MAX_GIB)")


def _unpacked_bytes(packed: bytes, limit: int) -> int:
    unpack, count = zlib.decompressobj(), 0
    while packed and count <= limit:
        count += len(unpack.decompress(packed, 2**20))
        packed = unpack.unconsumed_tail
    return count


def _look_into(container: Container, name: str, values: Any, where: str, depth: int = 0) -> None:
    """Add the arrays in a struct or cell, as ``name.field`` and ``name``; a cell of like arrays is one stack."""
    if depth > DEEPEST or not isinstance(values, np.ndarray):
        return
    if values.dtype.names:
        for field in values.dtype.names:
            inner = values[field].ravel()
            _look_into(container, f"{name}.{field}", inner[0] if inner.size == 1 else inner, where, depth + 1)
    elif values.dtype == object:
        _add_cell(container, name, list(values.ravel(order="F")), where, depth)
    elif values.ndim >= 2 and is_real(values.dtype):
        container.arrays[name] = listed(HeldArray(values, f"{where}: {name}"))
    elif values.ndim >= 2 and min(values.shape) > 1:
        container.refused[name] = why_not_real(values.dtype)


def _add_cell(container: Container, name: str, items: list, where: str, depth: int) -> None:
    arrays = [np.asarray(item) for item in items[:MOST_CELLS]]
    if len(arrays) == 1:
        _look_into(container, name, arrays[0], where, depth + 1)
    elif arrays and _are_frames([(array.shape, array.dtype) for array in arrays]):
        container.arrays[name] = listed(Chained([HeldArray(a, where) for a in arrays], f"{where}: {name}"))
    else:
        for number, array in enumerate(arrays[:100], start=1):
            _look_into(container, f"{name}{{{number}}}", array, where, depth + 1)


def _are_frames(arrays: list[tuple[tuple[int, ...], np.dtype]]) -> bool:
    """Whether several arrays are frames of one shape."""
    shape = arrays[0][0]
    return len(shape) == 2 and min(shape) > 1 and all(own == shape and is_real(dtype) for own, dtype in arrays)


def _open_73(path: Path, label: str, stack: ExitStack) -> Container:
    content = None if str(path) == label else stack.enter_context(open(path, "rb"))  # noqa: SIM115
    source = Source(label, stack, content)
    container = Container("mat", label, {})
    for name, node in source.walk():
        if isinstance(node, h5py.Dataset) and node.shape is not None and not name.startswith("/#"):
            _add_73(container, source, name.strip("/").replace("/", "."), node)
    return container


def _add_73(container: Container, source: Source, name: str, node: h5py.Dataset) -> None:
    if h5py.check_ref_dtype(node.dtype) is not None:
        _add_references(container, source, name, node)
        return
    parts = complex_parts(node.dtype)
    if node.dtype.kind not in "biuf" and not parts:
        if len(node.shape) >= 2 and min(node.shape) > 1:
            container.refused[name] = why_not_real(node.dtype)
        return
    if read_attribute(node, "MATLAB_class") == "char" or read_attribute(node, "MATLAB_empty"):
        return

    def open_turned() -> StoredArray:
        array = source.stored(node.name, "any")
        return Turned(RealPart(array, *parts) if parts else array)

    dtype = node.dtype[parts[0]] if parts else node.dtype
    container.arrays[name] = Listed(node.shape[::-1], dtype, open_turned)


def _add_references(container: Container, source: Source, name: str, node: h5py.Dataset) -> None:
    """A cell: of like arrays one stack, else each by its number."""
    if node.is_virtual or node.external:
        raise InputError(f"{container.label}: {name} keeps its cells elsewhere: no file of MATLAB does")
    if node.size > MOST_CELLS:
        raise InputError(f"{container.label}: {name} is a cell of {node.size} parts; at most {MOST_CELLS} are read")
    targets = [node.file[reference] for reference in node[()].ravel() if reference]
    datasets = [target for target in targets if isinstance(target, h5py.Dataset) and target.shape is not None]
    if len(datasets) > 1 and _are_frames([(target.shape, target.dtype) for target in datasets]):
        members = [Turned(source.stored(target.name, "any")) for target in datasets]
        container.arrays[name] = listed(Chained(members, f"{container.label}: {name}"))
        return
    for number, target in enumerate(datasets[:100], start=1):
        if h5py.check_ref_dtype(target.dtype) is None:
            _add_73(container, source, name if len(datasets) == 1 else f"{name}{{{number}}}", target)


PARTS = (("real", "imag"), ("r", "i"))
"""Names that MATLAB 7.3 and others give to the two parts of a complex number in HDF5."""


def complex_parts(dtype: np.dtype) -> tuple[str, str] | None:
    """Names of the real and imaginary parts of a compound type; None for anything else."""
    return next((parts for parts in PARTS if dtype.names == parts), None)


class RealPart(StoredArray):
    """Numbers that are stored as complex ones and are real: counts that went through a Fourier transform."""

    def __init__(self, array: StoredArray, real: str, imaginary: str):
        super().__init__(array.shape, array.dtype[real], array.where)
        self.array, self.real, self.imaginary = array, real, imaginary
        self.frames_together = array.frames_together

    @property
    def complete(self) -> bool:
        return self.array.complete

    def get(self, index: Index) -> np.ndarray:
        values = self.array.get(index)
        if np.any(values[self.imaginary]):
            raise InputError(f"{self.where}: holds complex numbers; intensities are real")
        return values[self.real]

    def written(self, index: Index) -> np.ndarray:
        return self.array.written(index)
