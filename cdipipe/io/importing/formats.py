"""Whole arrays out of image and data files: npy npz tif mat h5 edf cbf cxi, each also as ``.gz``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi.image import read_image
from cdipipe.io.cxi.layout import read_kind
from cdipipe.io.hdf5 import open_source
from cdipipe.io.importing.files import format_of, reading, split_key, unpacked
from cdipipe.io.importing.readers import READERS, check_kind


def read_array(name: str | Path, key: str | None = None) -> np.ndarray:
    """A real array from any known format but CXI patterns.

    Parameters
    ----------
    name : file, or ``FILE::KEY``
    key : name of the array inside an npz, mat or HDF5 file; may be left out where there is only one

    Raises
    ------
    InputError
        Unknown format, damaged file, ambiguous or missing key, values that are not real numbers, too large.
    """
    path, own_key = split_key(name)
    reader = READERS["h5" if format_of(path) == "cxi" else format_of(path)]
    with reading(path), unpacked(path) as plain:
        values = reader(plain, str(path), own_key or key)
    check_kind(values.dtype, str(path))
    if values.size == 0:
        raise InputError(f"{path}: has no elements, its shape is {values.shape}")
    return values


def read_support(name: str | Path) -> np.ndarray:
    """A support, True where the object may be: nonzero in any array file, or that of a reconstruction.

    Raises
    ------
    InputError
        As :func:`read_array`; also for a truth, which no reconstruction may see.
    """
    path, key = split_key(name)
    if format_of(path) != "cxi" or key is not None:
        values = np.squeeze(read_array(name))
        return (values != 0) & ~np.isnan(values)
    with open_source(path) as source:
        if read_kind(source) == "truth":
            raise InputError(f"{path}: holds a truth, which no reconstruction may see")
        return read_image(source)[1]
