"""Around a run of a study: can it begin, is another run of it at work, and what stopped it. Imports nothing heavy."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import socket
from pathlib import Path
from typing import IO

from cdipipe.errors import InputError
from cdipipe.ops.device import VARIABLE, resolve_device
from cdipipe.study.paths import fault_of_path
from cdipipe.study.tree import Config

FULL_BYTES = 2**20
"""A disk with less room than this counts as full."""
MARK = ".running"
"""File in the output folder that a run holds locked."""


def device_of_run(asked: str) -> str:
    """``cpu`` or ``cuda`` for all jobs of a run, decided once, where it starts; torch is not loaded.

    Every job is told by ``CDIPIPE_DEVICE``, also on another computer, where ``auto`` would find something else.

    Parameters
    ----------
    asked : what the study says; ``CDIPIPE_DEVICE`` is stronger

    Raises
    ------
    InputError   the variable has another value than ``auto``, ``cpu`` or ``cuda``
    """
    device, _ = resolve_device("auto" if os.environ.get(VARIABLE) else asked)
    os.environ[VARIABLE] = device
    return device


def check_before_run(study: Config, where: str) -> None:
    """Find what would stop a study before its first job.

    Parameters
    ----------
    where : its file, which commands of the workflow read

    Raises
    ------
    InputError   the output folder cannot be written, a file to import is not there, or the study's file has a name
        that the workflow cannot take
    """
    if fault := fault_of_path(where) or ("'::' stands before keys; rename it" if "::" in where else ""):
        raise InputError(f"{where}: {fault}")
    place = nearest(study.output)
    if not place.is_dir():
        raise InputError(f"{where}: output: {study.output}: {place} is not a folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{where}: output: {study.output}: {place} may not be written (permissions, or read-only)")
    for name in study.imported():
        if study.measurements[name].fetch is None:
            _check_sources(study.sources(name), f"{where}: measurements.{name}.import")
    for name, network in study.networks.items():
        if network.pairs is not None:
            _check_sources(network.pairs.files(), f"{where}: networks.{name}.pairs")


def _check_sources(files: list[str], where: str) -> None:
    for file in files:
        if fault := fault_of_path(file):
            raise InputError(f"{where}: {file}: {fault}")
        if not os.path.isfile(file):
            raise InputError(f"{where}: {file}: no such file; looked in {Path.cwd()}")


def nearest(folder: str) -> Path:
    """The folder itself if it exists, else the one it will be made in."""
    place = Path(folder).absolute()
    return next(parent for parent in (place, *place.parents) if parent.exists())


def explain_failure(output: str) -> str:
    """What of the output folder explains a failed run; empty if nothing does."""
    place = nearest(output)
    free = shutil.disk_usage(place).free
    if free < FULL_BYTES:
        return f"{output}: the disk is full, {free} bytes are left; make room and run the same command again"
    if not os.access(place, os.W_OK):
        return f"{output}: {place} may not be written any more (permissions, or read-only)"
    return ""


def claim_output(output: str) -> IO[str]:
    """Keep other runs out of an output folder for as long as this process lives, however it ends.

    A lock of the operating system does it, so none is left behind by a run that is killed.

    Returns
    -------
    file
        The claim lasts until it is closed, at the latest when the process ends.

    Raises
    ------
    InputError   another run is at work there
    """
    Path(output).mkdir(parents=True, exist_ok=True)
    mark = (Path(output) / MARK).open("a+", encoding="utf-8")
    try:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return mark  # a file system without locks
        mark.seek(0)
        holder = mark.read().strip() or "of which nothing more is known"
        mark.close()
        raise InputError(f"{output}: another run is at work here, {holder}; wait for it, or stop it") from error
    mark.truncate(0)
    mark.write(f"process {os.getpid()} on {socket.gethostname()}\n")
    mark.flush()
    return mark
