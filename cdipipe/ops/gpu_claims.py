"""GPUs are handed out one by one: a process locks those that it takes, and says so where it must share one.

A lock of the operating system does it, so none outlives its process. Snakemake reserves how many GPUs a job has
(``resources: gpu``); which ones is decided here, by whoever begins first.
"""

from __future__ import annotations

import fcntl
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from cdipipe.ops.gpus import Gpu

CLAIMED = "CDIPIPE_GPUS"
"""Set by a process for those that it starts: they work on its GPUs."""
_held: list[IO[str]] = []


def claim(gpus: Sequence[Gpu], count: int = 1) -> list[Gpu]:
    """Take so many GPUs for as long as this process lives, free ones first, and hide the others from it.

    Parameters
    ----------
    gpus : those that this process may see
    count : at most as many as there are

    Returns
    -------
    list of Gpu
        ``CUDA_VISIBLE_DEVICES`` names them from now on.
    """
    if os.environ.get(CLAIMED) and os.environ[CLAIMED] == os.environ.get("CUDA_VISIBLE_DEVICES"):
        return list(gpus[:count])
    taken: list[Gpu] = []
    busy: list[tuple[Gpu, str]] = []
    for gpu in gpus:
        if len(taken) == count:
            break
        holder = _lock(gpu)
        if holder is None:
            taken.append(gpu)
        else:
            busy.append((gpu, holder))
    for gpu, holder in busy[: count - len(taken)]:
        print(f"cdipipe: GPU {gpu.index} ({gpu.name}) is shared with {holder}", file=sys.stderr, flush=True)
        taken.append(gpu)
    os.environ["CUDA_VISIBLE_DEVICES"] = os.environ[CLAIMED] = ",".join(gpu.uuid for gpu in taken)
    return taken


def _lock(gpu: Gpu) -> str | None:
    """Lock a GPU; who has it already, or None."""
    path = Path(tempfile.gettempdir()) / f"cdipipe-{gpu.uuid}.lock"
    try:
        file = _open(path)
    except OSError:
        return None  # nothing can be locked here; better than not to begin
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read(200).strip() or "another process"
        file.close()
        return holder
    file.truncate(0)
    file.write(f"process {os.getpid()}")
    file.flush()
    _held.append(file)
    return None


def _open(path: Path) -> IO[str]:
    """For everybody: another user may have made it. A link that somebody laid there is not followed."""
    flags = os.O_RDWR | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT, 0o666)
        os.fchmod(descriptor, 0o666)
    return os.fdopen(descriptor, "r+", encoding="utf-8", errors="replace")
