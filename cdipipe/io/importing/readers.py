"""One reader per array format. Each gives the array it was asked for, or the only one there is.

Sizes are checked before anything is allocated, nothing is unpickled, and the libraries' own exceptions are turned into
InputErrors by the caller (:mod:`cdipipe.io.importing.formats`).
"""

from __future__ import annotations

import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.hdf5 import Source, open_source
from cdipipe.io.importing.files import HDF5_SUFFIXES
from cdipipe.io.memory import check_size

REAL_KINDS = "biuf"
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def choose_key(label: str, shapes: Mapping[str, tuple[int, ...]], wanted: str | None) -> str:
    """The array to take out of a file that may hold several; ``shapes`` has those with numbers in them."""
    patterns = [name for name, shape in shapes.items() if sum(size > 1 for size in shape) >= 2]
    listing = ", ".join(f"{name} {shapes[name]}" for name in (patterns or list(shapes))[:12])
    listing += ", ..." if len(patterns or shapes) > 12 else ""
    if wanted is not None:
        for name in (wanted, "/" + wanted.strip("/")):
            if name in shapes:
                return name
        raise InputError(f"{label}: no array '{wanted}' inside; there is {listing or 'none'}")
    if len(patterns) == 1:
        return patterns[0]
    if not patterns:
        raise InputError(f"{label}: no array of two or more axes inside; there is {listing or 'none'}")
    raise InputError(f"{label}: holds several arrays, choose one with --dataset or FILE::KEY: {listing}")


def check_kind(dtype: np.dtype, label: str) -> None:
    """Raise InputError unless values are real numbers."""
    if dtype.kind not in REAL_KINDS or dtype.hasobject:
        what = "complex numbers; intensities are real" if dtype.kind == "c" else f"values of type {dtype}"
        raise InputError(f"{label}: holds {what[:200]}; allowed: integers, floats, booleans")


def _npy_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    return shape, dtype


def _read_npy_stream(file: IO[bytes], available_bytes: int, label: str) -> np.ndarray:
    start = file.tell()
    shape, dtype = _npy_header(file)
    check_kind(dtype, label)
    check_size(shape, dtype.itemsize, label)
    need, held = math.prod(shape) * dtype.itemsize, available_bytes - (file.tell() - start)
    if need > held:
        raise InputError(f"{label}: cut off, declares {need} bytes of values but holds {held}")
    file.seek(start)
    return np.lib.format.read_array(file, allow_pickle=False)


def read_npy(path: Path, label: str, key: str | None) -> np.ndarray:
    """NumPy array file."""
    if key is not None:
        raise InputError(f"{label}: an npy file holds one array; leave '{key}' out")
    with open(path, "rb") as file:
        return _read_npy_stream(file, path.stat().st_size, label)


def read_npz(path: Path, label: str, key: str | None) -> np.ndarray:
    """One array of a NumPy archive."""
    with zipfile.ZipFile(path) as archive:
        shapes = {}
        members = {item.filename.removesuffix(".npy"): item for item in archive.infolist()}
        for name, item in members.items():
            with archive.open(item) as file:
                shape, dtype = _npy_header(file)
                if dtype.kind in REAL_KINDS:
                    shapes[name] = shape
        chosen = members[choose_key(label, shapes, key)]
        with archive.open(chosen) as file:
            return _read_npy_stream(file, chosen.file_size, f"{label}: {chosen.filename}")


def read_tif(path: Path, label: str, key: str | None) -> np.ndarray:
    """Image or multi-page stack; with several series, ``key`` is the number of one."""
    import tifffile

    with tifffile.TiffFile(path) as tif:
        shapes = {str(index): series.shape for index, series in enumerate(tif.series)}
        series = tif.series[int(choose_key(label, shapes, key))]
        if series.axes.endswith("S") and series.shape[-1] > 1:  # S first: writers take three frames for colours
            raise InputError(f"{label}: a colour image of shape {series.shape}; photon counts have one channel")
        check_kind(np.dtype(series.dtype), label)
        check_size(series.shape, np.dtype(series.dtype).itemsize, label)
        return series.asarray()


def _read_mat5(path: Path, label: str, key: str | None) -> np.ndarray:
    import scipy.io

    numeric = ("double", "single", "logical", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)))
    shapes = {name: shape for name, shape, kind in scipy.io.whosmat(path) if kind in numeric}
    chosen = choose_key(label, shapes, key)
    check_size(shapes[chosen], 8, f"{label}: {chosen}")
    values = scipy.io.loadmat(path, variable_names=[chosen])[chosen]
    if not isinstance(values, np.ndarray):
        raise InputError(f"{label}: {chosen} is not a full array")
    return values


def read_mat(path: Path, label: str, key: str | None) -> np.ndarray:
    """MATLAB file: version 4 to 7 by scipy, 7.3 as HDF5 with the axes in MATLAB's order."""
    with open(path, "rb") as file:
        is_hdf5 = any(file.seek(start) == start and file.read(8) == HDF5_SIGNATURE for start in (0, 512))
    if is_hdf5:
        return read_hdf5(path, label, key).T
    return _read_mat5(path, label, key)


def list_hdf5(source: Source) -> dict[str, tuple[int, ...]]:
    """Shapes of all numeric datasets by path."""
    import h5py

    shapes: dict[str, tuple[int, ...]] = {}

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.shape is not None and node.dtype.kind in REAL_KINDS:
            shapes["/" + name] = node.shape

    source.file.visititems(visit)
    return shapes


def read_hdf5(path: Path, label: str, key: str | None) -> np.ndarray:
    """One dataset of an HDF5 file; links to files outside its folder are refused."""
    with open(path, "rb") as content, open_source(label, None if str(path) == label else content) as source:
        if key is not None and (values := source.array(key, "bool")) is not None:
            return values
        chosen = choose_key(label, list_hdf5(source), key)
        return source.array(chosen, "bool")


def read_edf(path: Path, label: str, key: str | None) -> np.ndarray:
    """ESRF data file, one or many frames."""
    from fabio.edfimage import EdfImage

    with EdfImage().read(str(path)) as image:
        shape = tuple(image.shape)
        check_size((image.nframes, *shape), 8, label)
        frames = [image.get_frame(index) for index in range(image.nframes)]
        if any(tuple(frame.shape) != shape for frame in frames):
            raise InputError(f"{label}: its {len(frames)} frames differ in shape")
        return np.squeeze(np.stack([frame.data for frame in frames]))


def _check_cbf(path: Path, label: str) -> None:
    """What fabio takes for granted: a binary section with its start mark, and dimensions that memory can hold."""
    content = path.read_bytes()
    section = content.find(b"--CIF-BINARY-FORMAT-SECTION--")
    start = content.find(b"\x0c\x1a\x04\xd5", section)
    if section < 0 or start < 0:
        raise InputError(f"{label}: no CBF binary section inside, or cut off before it")
    sizes = re.findall(rb"X-Binary-(?:Size-\w+-Dimension|Number-of-Elements):\s*(\d+)", content[section:start])
    check_size((math.prod(map(int, sizes[:1])), 1), 8, label)
    check_size(tuple(int(size) for size in sizes[1:3]), 8, label)


def read_cbf(path: Path, label: str, key: str | None) -> np.ndarray:
    """Crystallographic binary file (Pilatus); its gaps are negative counts."""
    from fabio.cbfimage import CbfImage

    _check_cbf(path, label)
    with CbfImage().read(str(path)) as image:
        return image.data


READERS = {"npy": read_npy, "npz": read_npz, "tif": read_tif, "tiff": read_tif, "mat": read_mat}
READERS |= {"edf": read_edf, "cbf": read_cbf, "cxi": read_hdf5, **dict.fromkeys(HDF5_SUFFIXES, read_hdf5)}
