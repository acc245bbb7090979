"""Same device, same bits: torch's operations on a GPU in a fixed order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def repeatable(device) -> Iterator[None]:
    """Until the block ends, operations on a GPU add in a fixed order; on a CPU they do so anyway.

    The package's own kernels always do. Of torch's operations those that have no such way raise an error: the package
    uses none. Between two cards of different kinds bits may differ, as they do between a GPU and a CPU.

    Parameters
    ----------
    device : torch device or its name
    """
    import torch

    if torch.device(device).type != "cuda":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when the first matrix product runs
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    choosing, filling = torch.backends.cudnn.benchmark, torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = False  # which algorithm is fastest differs from run to run
    torch.utils.deterministic.fill_uninitialized_memory = False  # nothing reads it
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        torch.backends.cudnn.benchmark = choosing
        torch.utils.deterministic.fill_uninitialized_memory = filling
