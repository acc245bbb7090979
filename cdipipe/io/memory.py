"""How much may be read at once: files declare sizes that no machine has."""

from __future__ import annotations

import math
import os

from cdipipe.errors import InputError

SHARE_OF_AVAILABLE = 0.6


def memory_limit_bytes() -> int:
    """Largest array that is read at once: ``CDIPIPE_MAX_GIB`` or 60 % of the available memory."""
    if gib := os.environ.get("CDIPIPE_MAX_GIB"):
        try:
            limit = int(float(gib) * 2**30)
        except (ValueError, OverflowError):
            limit = 0
        if limit <= 0:
            raise InputError(f"CDIPIPE_MAX_GIB must be a number of GiB above 0; got '{gib}'")
        return limit
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            available = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return int(SHARE_OF_AVAILABLE * available)


def check_size(shape: tuple[int, ...], item_bytes: int, where: str) -> None:
    """Raise InputError if an array of this shape cannot be held in memory or has no element."""
    if not all(size > 0 for size in shape):
        raise InputError(f"{where}: has no elements, its shape is {shape}")
    check_bytes(math.prod(shape) * item_bytes, f"{where}: shape {shape}", "crop or bin the file first")


def check_bytes(need: float, where: str, advice: str = "") -> None:
    """Raise InputError if so many bytes are more than may be used; nothing was allocated yet.

    Parameters
    ----------
    need : bytes
    where : what needs them, for the message
    advice : what to do, for the message
    """
    limit = memory_limit_bytes()
    if need > limit:
        raise InputError(
            f"{where} needs {_gib(need)} GiB, the limit is {_gib(limit)} GiB (CDIPIPE_MAX_GIB)"
            + (f"; {advice}" if advice else "")
        )


def _gib(size: float) -> str:
    return f"{size / 2**30:.3g}" if size < 2**80 else "far too many"
