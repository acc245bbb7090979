"""Keep freed arrays for the next allocation instead of giving them back to the system."""

from __future__ import annotations

import ctypes
import platform
from contextlib import contextmanager

# Parameters of mallopt(3) and the values that glibc's own adaptation ends with.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -3, -4
LARGEST, USUAL_MMAP_MAX, USUAL_MMAP_THRESHOLD = 2**31 - 1, 65536, 32 << 20


@contextmanager
def reuse_freed_arrays():
    """Within the block, CPU arrays above 32 MiB come from the heap, whose pages stay mapped.

    ``torch.fft`` allocates its result. glibc maps every array above 32 MiB afresh and each first touch of a page is a
    fault; benchmarks/kernels.py (``page_faults``) records what that costs. Memory goes back to the system when the
    block ends. It helps the main thread, since heaps of other threads stay below 64 MiB. Without glibc nothing happens.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(M_MMAP_MAX, 0)
    libc.mallopt(M_TRIM_THRESHOLD, LARGEST)
    try:
        yield
    finally:
        libc.mallopt(M_MMAP_MAX, USUAL_MMAP_MAX)
        libc.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP_THRESHOLD)
        libc.mallopt(M_TRIM_THRESHOLD, 2 * USUAL_MMAP_THRESHOLD)
        libc.malloc_trim(0)
