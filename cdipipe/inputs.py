"""Inputs are regular files: devices and pipes have no end, and are refused before anything is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cdipipe.errors import InputError

KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def check_readable(path: str | Path) -> None:
    """Raise for what cannot be read from its beginning to its end.

    Parameters
    ----------
    path : of a file; links are followed

    Raises
    ------
    InputError   a folder, a pipe, a socket or a device
    OSError      there is no such file, or it may not be read
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = next((name for is_it, name in KINDS if is_it(mode)), "a device")
        raise InputError(f"{path}: not a regular file, but {kind}")
    with open(path, "rb"):  # a forbidden file is named by the system
        pass
