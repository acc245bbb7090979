"""Outputs appear whole or not at all: write beside, then rename."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from cdipipe.errors import InputError


def check_output(path: str | Path) -> Path:
    """Where an output will go, checked before any long work.

    Returns
    -------
    Path
        ``path`` with symbolic links resolved, so that a link is written through and not replaced.

    Raises
    ------
    InputError
        The folder does not exist, or something that is not a regular file has the name (a folder, a device).
    OSError
        The folder or the existing file may not be written (EACCES, EROFS).
    """
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise InputError(f"{path}: cannot write there, folder {target.parent} does not exist")
    if target.exists() and not target.is_file():
        kind = "a folder" if target.is_dir() else "not a regular file"
        raise InputError(f"{path}: cannot write there, it is {kind}; give the name of a file")
    for place in (target, target.parent):
        if place.exists() and not os.access(place, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
    return target


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _remove_orphans(target: Path) -> None:
    """Remove what killed processes left of this output; on a cluster, where they may live elsewhere, after a day."""
    head = f".{target.stem[:80]}."
    patience_s = 86400 if "SLURM_JOB_ID" in os.environ else 0
    for left in target.parent.glob(f"{glob.escape(head)}*.part{glob.escape(target.suffix)}"):
        number = left.name[len(head) :].partition(".")[0]
        with contextlib.suppress(OSError):
            if number.isdigit() and not _runs(int(number)) and time.time() - left.stat().st_mtime >= patience_s:
                _remove(left)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


@contextlib.contextmanager
def _errors_name(target: Path, part: Path) -> Iterator[None]:
    """Let the message of an ``OSError`` name the output, not the temporary file."""
    try:
        yield
    except OSError as error:
        nameless = error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        if nameless or str(error.filename) == str(part):
            error.filename = str(target)
            error.filename2 = None
        raise


@contextlib.contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Give a temporary path beside ``path``; rename it to ``path`` if the block succeeds, else remove it.

    The temporary name keeps the suffix, since some writers choose the format by it. The block may also make it a
    folder. An existing ``path`` stays untouched unless the block succeeds.

    Raises
    ------
    InputError, OSError
        As :func:`check_output`, before the block runs.
    """
    target = check_output(path)
    part = target.with_name(f".{target.stem[:80]}.{os.getpid()}.part{target.suffix}")
    _remove_orphans(target)
    try:
        with _errors_name(target, part):
            yield part
            os.replace(part, target)
    finally:
        _remove(part)
