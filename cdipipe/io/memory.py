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
            return int(float(gib) * 2**30)
        except ValueError:
            raise InputError(f"CDIPIPE_MAX_GIB must be a number of GiB; got '{gib}'") from None
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
    need, limit = math.prod(shape) * item_bytes, memory_limit_bytes()
    if need > limit:
        raise InputError(
            f"{where}: shape {shape} needs {need / 2**30:.3g} GiB, the limit is {limit / 2**30:.3g} GiB "
            "(CDIPIPE_MAX_GIB); crop or bin the file first"
        )
