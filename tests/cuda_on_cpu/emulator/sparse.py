"""Arrays that are larger than the memory."""

from __future__ import annotations

import math
import mmap

import torch

MAP_NORESERVE = 0x4000  # on Linux; Python 3.11 has no name for it


def sparse(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Zeros; a page takes memory once it was written."""
    count = math.prod(shape)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_NORESERVE
    return torch.frombuffer(mmap.mmap(-1, count * dtype.itemsize, flags), dtype=dtype, count=count).reshape(shape)
