"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes

MALLOC_OPTIONS = {-3: 2**25, -1: 2**30, -2: 2**24}
"""M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of glibc's malloc.h, in bytes."""


def keep_freed_memory() -> None:
    """Let the allocator of glibc keep what is freed: every batch asks for the same sizes again.

    Pages that are given back to the system are cleared anew each time.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in MALLOC_OPTIONS.items():
        mallopt(option, value)
