"""One reader per format: which arrays a file holds, each read piece by piece when it is wanted.

Sizes are checked before anything is allocated, nothing is unpickled, and the libraries' own exceptions are turned into
InputErrors by the caller (:func:`cdipipe.io.importing.files.reading`).
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from cdipipe.io.importing.readers.container import Container
from cdipipe.io.importing.readers.hdf5 import open_hdf5
from cdipipe.io.importing.readers.images import open_cbf, open_edf
from cdipipe.io.importing.readers.matlab import open_mat
from cdipipe.io.importing.readers.numpy_files import open_npy, open_npz
from cdipipe.io.importing.readers.tiff import open_tif

OPENERS = {"npy": open_npy, "npz": open_npz, "tif": open_tif, "tiff": open_tif, "mat": open_mat}
OPENERS |= {"edf": open_edf, "cbf": open_cbf}


def open_container(path: Path, label: str, kind: str, stack: ExitStack, follow_links: bool = False) -> Container:
    """The arrays of a file of any format.

    Parameters
    ----------
    path : the file, or an unpacked copy of it
    label : the file as the user named it
    kind : its format, see :func:`cdipipe.io.importing.files.format_of`
    """
    if kind in OPENERS:
        return OPENERS[kind](path, label, stack)
    return open_hdf5(path, label, stack, follow_links).container
