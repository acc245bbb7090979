"""Before and after a run of a study: can it be written, are its inputs there, is a lock left, what went wrong.

Imports nothing heavy. Of the locks: Snakemake writes the files that a run will make into ``.snakemake/locks`` and takes
them away when it ends; a run that is killed cannot. Every run of a study therefore holds a lock of the operating
system, too, which ends with its process, however it ends: where nobody holds that one, the other locks are stale.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path
from typing import IO

from cdipipe.errors import InputError
from cdipipe.study.config import Config

FOLDER = Path(".snakemake")
FULL_BYTES = 2**20
"""A disk with less room than this counts as full."""


def check(study: Config, where: str) -> None:
    """Find what would stop a study before its first job.

    Raises
    ------
    InputError   the output folder cannot be written, or a file to import is not there
    """
    place = nearest(study.output)
    if not place.is_dir():
        raise InputError(f"{where}: output: {study.output}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{where}: output: {study.output}: {place} may not be written (permissions, or read-only)")
    for name in study.imported():
        if study.measurements[name].fetch is None:
            for file in study.sources(name):
                if not Path(file).is_file():
                    raise InputError(
                        f"{where}: measurements.{name}.import: {file}: no such file; looked in {Path.cwd()}"
                    )


def nearest(folder: str) -> Path:
    """The folder itself if it exists, else the one it will be made in."""
    place = Path(folder).absolute()
    return next(parent for parent in (place, *place.parents) if parent.exists())


def trouble(output: str) -> str:
    """What of the output folder explains a failed run; empty if nothing does."""
    place = nearest(output)
    free = shutil.disk_usage(place).free
    if free < FULL_BYTES:
        return f"{output}: the disk is full, {free} bytes are left; make room and run the same command again"
    if not os.access(place, os.W_OK):
        return f"{output}: {place} may not be written any more (permissions, or read-only)"
    return ""


def hold(output: str, folder: Path = FOLDER) -> IO[str]:
    """Mark the study that writes into ``output`` as running, and remove locks that a killed run of it left.

    Parameters
    ----------
    output : folder of the study's results
    folder : Snakemake's own folder

    Returns
    -------
    file
        The mark lasts until this file is closed, at the latest when the process ends.
    """
    marks = folder / "studies"
    marks.mkdir(parents=True, exist_ok=True)
    mark = (marks / (output.strip("/").replace("/", "--") + ".running")).open("w", encoding="utf-8")
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody runs, or the file system knows no such locks: Snakemake's own locks decide
        _share(mark)
        return mark
    remove_stale(output, folder)
    _share(mark)
    return mark


def _share(mark: IO[str]) -> None:
    """Others that only look (a dry run) may look at the same time."""
    try:
        fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return


def remove_stale(output: str, folder: Path = FOLDER) -> list[Path]:
    """Remove Snakemake's locks on files in ``output``, and return which those were."""
    removed = []
    for lock in sorted((folder / "locks").glob("*.lock")):
        if any(line.startswith(f"{output}/") for line in lock.read_text(encoding="utf-8").splitlines()):
            lock.unlink()
            removed.append(lock)
    return removed
