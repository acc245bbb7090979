"""Opening HDF5 files that may still be written, or lie where nothing can be locked."""

from __future__ import annotations

import errno
import re
from pathlib import Path
from typing import Any

import h5py

from cdipipe.errors import InputError
from cdipipe.inputs import check_readable

IS_LOCKED = {errno.EAGAIN, errno.EWOULDBLOCK, errno.EACCES}
LOCK_FAULT = re.compile(r"unable to lock file, errno = (\d+)")
CONSISTENCY_FAULT = "already open for write"
NOT_CLOSED = (
    "is still being written, or its writer died: wait until it is closed; if nothing writes to it any more, repair it "
    "with `h5clear -s FILE`"
)
LOCKED = (
    "another program has it open for writing: wait until it is closed, or import a copy; where nothing writes and the "
    "file system cannot lock, set HDF5_USE_FILE_LOCKING=FALSE"
)


def open_file(path: str | Path, content: Any = None) -> h5py.File:
    """An HDF5 file open for reading.

    A file that is written in SWMR mode (single writer, multiple readers) is read as far as it has come. Where the file
    system has no locks, none is asked for.

    Parameters
    ----------
    content : a binary file object to read instead of ``path``, which then only gives the name

    Raises
    ------
    InputError   another program writes it, or it is no HDF5 file
    OSError   it is damaged
    """
    if content is not None:
        return h5py.File(content, "r")
    check_readable(path)
    if not h5py.is_hdf5(path):
        raise InputError(f"{path}: not an HDF5 file, or cut off at its start")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        return _open_otherwise(path, error)


def _open_otherwise(path: str | Path, error: OSError) -> h5py.File:
    lock = LOCK_FAULT.search(str(error))
    if lock is not None and int(lock.group(1)) in IS_LOCKED:
        raise InputError(f"{path}: {LOCKED}") from error
    if lock is not None:
        try:
            return h5py.File(path, "r", locking=False)
        except OSError as other:
            error = other
    if CONSISTENCY_FAULT not in str(error):
        raise error
    try:
        return h5py.File(path, "r", swmr=True, locking=None if lock is None else False)
    except OSError as other:
        raise InputError(f"{path}: {NOT_CLOSED}") from other
