"""Probe modes from files of other tools: complex arrays in npy, npz, mat, HDF5 and CXI files."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.hdf5 import faults_are_input_errors, open_source
from cdipipe.io.importing.files import HDF5_SUFFIXES, split_key, unpacked
from cdipipe.io.importing.readers import reader_of
from cdipipe.io.importing.readers.matlab import HDF5_SIGNATURE, complex_parts
from cdipipe.io.memory import check_size


def choose_key(label: str, shapes: Mapping[str, tuple[int, ...]], wanted: str | None) -> str:
    """The array to take out of a file that may hold several; ``shapes`` has those that may be modes."""
    patterns = [name for name, shape in shapes.items() if sum(size > 1 for size in shape) >= 2]
    listing = ", ".join(f"{name} {shapes[name]}" for name in (patterns or list(shapes))[:12])
    if wanted is not None:
        for name in (wanted, "/" + wanted.strip("/")):
            if name in shapes:
                return name
        raise InputError(f"{label}: no array '{wanted}' inside; there is {listing or 'none'}")
    if len(patterns) == 1:
        return patterns[0]
    if not patterns:
        raise InputError(f"{label}: no array of two or more axes inside; there is {listing or 'none'}")
    raise InputError(f"{label}: holds several arrays, choose one with FILE::KEY: {listing}")


def _npy_shape(file) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(file)
    return shape, dtype


def _read_npy(path: Path, key: str | None) -> np.ndarray:
    with open(path, "rb") as file:
        shape, dtype = _npy_shape(file)
    check_size(shape, dtype.itemsize, str(path))
    return np.load(path, allow_pickle=False)


def _read_npz(path: Path, key: str | None) -> np.ndarray:
    shapes = {}
    with zipfile.ZipFile(path) as archive:
        for item in archive.infolist():
            with archive.open(item) as file:
                shape, dtype = _npy_shape(file)
            check_size(shape, dtype.itemsize, f"{path}: {item.filename}") if math.prod(shape) else None
            if dtype.kind == "c" or key is not None:
                shapes[item.filename.removesuffix(".npy")] = shape
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[choose_key(str(path), shapes, key)]


def _read_hdf5(path: Path, key: str | None, transpose: bool) -> np.ndarray:
    import h5py

    with open_source(path) as source:
        shapes = {}

        def visit(name: str, node: object) -> None:
            if isinstance(node, h5py.Dataset) and node.shape is not None and _complex_parts(node.dtype) is not None:
                shapes["/" + name] = node.shape

        source.file.visititems(visit)
        chosen = choose_key(str(path), shapes, key)
        dataset = source.dataset(chosen)
        check_size(dataset.shape, dataset.dtype.itemsize, source.where(chosen))
        values, parts = source.open(dataset, source.where(chosen)).all(), _complex_parts(dataset.dtype)
    values = values[parts[0]] + 1j * values[parts[1]] if parts else values
    return values.T if transpose else values


def _complex_parts(dtype: np.dtype) -> tuple[str, ...] | None:
    """Names of the real and imaginary parts; empty for a complex type, None for anything else."""
    return () if dtype.kind == "c" else complex_parts(dtype)


def _read_mat(path: Path, key: str | None) -> np.ndarray:
    with open(path, "rb") as file:
        if any(file.seek(start) == start and file.read(8) == HDF5_SIGNATURE for start in (0, 512)):
            return _read_hdf5(path, key, transpose=True)
    import scipy.io

    numeric = {name: shape for name, shape, kind in scipy.io.whosmat(path) if kind in ("double", "single")}
    for name, shape in numeric.items():
        check_size(shape, 16, f"{path}: {name}")
    arrays = scipy.io.loadmat(path, variable_names=list(numeric))
    shapes = {name: shape for name, shape in numeric.items() if key is not None or np.iscomplexobj(arrays[name])}
    return arrays[choose_key(str(path), shapes, key)]


def read_probe_modes(name: str | Path, exposure_s: float | None = None) -> np.ndarray:
    """Probe modes as complex64, centred.

    Parameters
    ----------
    name : file, or ``FILE::KEY``; without a key the only complex array of two or three axes. MATLAB's arrays are
        (H, W, M) with the modes last
    exposure_s : exposure of one frame where the probe is given per second: it is multiplied by its square root

    Returns
    -------
    (M, H, W) complex64

    Raises
    ------
    InputError   unknown format, damaged, no such array, not finite, zero everywhere, exposure not positive
    """
    path, key = split_key(name)
    kind = reader_of(path).name
    readers = {"npy": _read_npy, "npz": _read_npz, "mat": _read_mat}
    readers |= dict.fromkeys(("hdf5", "cxi"), lambda p, k: _read_hdf5(p, k, transpose=False))
    if kind not in readers:
        raise InputError(f"--probe {path}: probes are read from npy, npz, mat, {', '.join(HDF5_SUFFIXES)}, cxi")
    with unpacked(path) as plain, faults_are_input_errors(path, "damaged or unreadable", Exception):
        values = np.squeeze(readers[kind](plain, key))
    if values.dtype.kind not in "fc" or values.ndim not in (2, 3):
        raise InputError(f"--probe {path}: should be complex, (H, W) or (M, H, W); got {values.dtype} {values.shape}")
    if values.ndim == 3 and kind == "mat":
        values = np.moveaxis(values, -1, 0)
    modes = (values[None] if values.ndim == 2 else values).astype(np.complex64)
    if not np.isfinite(modes).all() or not modes.any():
        raise InputError(f"--probe {path}: the modes must be finite and not all zero")
    return modes if exposure_s is None else modes * np.float32(np.sqrt(exposure_s))


def fit_probe_modes(name: str | None, exposure_s: float | None, shape: tuple[int, ...]) -> np.ndarray | None:
    """Probe modes for patterns of ``shape``, or None without a file; raises InputError where they do not fit."""
    if name is None:
        if exposure_s is not None:
            raise InputError("--exposure-s scales the probe; give --probe too")
        return None
    modes = read_probe_modes(name, exposure_s)
    if modes.shape[1:] != shape:
        raise InputError(
            f"--probe {name}: modes of shape {modes.shape[1:]} do not fit patterns of shape {shape}; both are on one "
            "grid (see --crop)"
        )
    return modes
