"""Whole arrays out of image and data files of every format, each also as ``.gz``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi.image import read_image
from cdipipe.io.cxi.layout import read_kind
from cdipipe.io.hdf5 import open_source
from cdipipe.io.importing.choose import choose_any
from cdipipe.io.importing.files import reading, split_key, unpacked
from cdipipe.io.importing.readers import reader_of
from cdipipe.io.memory import check_size


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
    reader = reader_of(path)
    with reading(path), ExitStack() as stack:
        plain = stack.enter_context(unpacked(path))
        container = reader.open(plain, str(path), stack)
        array = container.arrays[choose_any(container, own_key or key)].open()
        check_size(array.shape, array.dtype.itemsize, array.where)
        if not array.complete and not array.present().any():
            raise InputError(f"{array.where}: has no values: none were ever written")
        return array.all()


def read_support(name: str | Path) -> np.ndarray:
    """A support, True where the object may be: nonzero in any array file, or that of a reconstruction.

    Raises
    ------
    InputError
        As :func:`read_array`; also for a truth, which no reconstruction may see.
    """
    path, key = split_key(name)
    if reader_of(path).name != "cxi" or key is not None:
        values = np.squeeze(read_array(name))
        return (values != 0) & ~np.isnan(values)
    with open_source(path) as source:
        if read_kind(source) == "truth":
            raise InputError(f"{path}: holds a truth, which no reconstruction may see")
        return read_image(source)[1]
