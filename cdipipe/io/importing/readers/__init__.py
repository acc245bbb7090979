"""One reader per format: which arrays a file holds, each read piece by piece when it is wanted.

A format is one record of :data:`READERS`, found by the suffix of a file; other packages add theirs through entry points
of the group ``cdipipe.readers``. Sizes are checked before anything is allocated, nothing is unpickled, and the
libraries' own exceptions are turned into InputErrors by the caller (:func:`cdipipe.io.importing.files.reading`).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from cdipipe.errors import InputError
from cdipipe.io.importing.files import HDF5_SUFFIXES, plain_name
from cdipipe.io.importing.readers.container import Container
from cdipipe.io.importing.readers.hdf5 import open_hdf5
from cdipipe.io.importing.readers.images import open_cbf, open_edf
from cdipipe.io.importing.readers.matlab import open_mat
from cdipipe.io.importing.readers.numpy_files import open_npy, open_npz
from cdipipe.io.importing.readers.tiff import open_tif
from cdipipe.plugins import Registry, in_list


@dataclass(frozen=True)
class Reader:
    """One file format.

    Parameters
    ----------
    name : what it is called
    summary : which programs write it
    suffixes : what its files end in, without the dot, in lower case; packed files are unpacked before
    open : ``(path, label, stack) -> Container``
        Lists the arrays of the file ``path``, which messages call ``label``, and reads none of them yet; what has to
        stay open is entered into the ``ExitStack``. Whatever it raises is one line that names the file.
    """

    name: str
    summary: str
    suffixes: tuple[str, ...]
    open: Callable[[Path, str, ExitStack], Container]


def _open_hdf5(path: Path, label: str, stack: ExitStack) -> Container:
    return open_hdf5(path, label, stack).container


OWN = (
    Reader("npy", "NumPy: one array", ("npy",), open_npy),
    Reader("npz", "NumPy: several arrays", ("npz",), open_npz),
    Reader("tif", "images, page by page", ("tif", "tiff"), open_tif),
    Reader("mat", "MATLAB, all versions", ("mat",), open_mat),
    Reader("hdf5", "beamlines: NeXus, DECTRIS, BLISS and others", HDF5_SUFFIXES, _open_hdf5),
    Reader("edf", "ESRF", ("edf",), open_edf),
    Reader("cbf", "Pilatus and Eiger, frame by frame", ("cbf",), open_cbf),
    Reader("cxi", "coherent imaging, cdipipe among others", ("cxi",), _open_hdf5),
)
READERS = Registry("file format", "cdipipe.readers", Reader, in_list(OWN))


def reader_of(path: Path) -> Reader:
    """The format by the suffix, a ``.gz``, ``.bz2`` or ``.xz`` set aside.

    Raises
    ------
    InputError   an unknown one
    """
    name = plain_name(path)
    suffix = name.rpartition(".")[2] if "." in name else ""
    for readers in (OWN, READERS.all().values()):  # other packages are not loaded for a format of ours
        for reader in readers:
            if suffix in reader.suffixes:
                return reader
    known = [suffix for reader in READERS.all().values() for suffix in reader.suffixes]
    raise InputError(f"{path}: format '{suffix}' is not known; allowed: {', '.join(known)}, also with .gz, .bz2, .xz")
