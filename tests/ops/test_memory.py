"""Freed arrays are used again instead of being mapped afresh."""

import platform
import resource

import pytest
import torch

from cdipipe.ops.memory import reuse_freed_arrays

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt belongs to glibc")
PAGES = 2**14  # 64 MiB in pages of 4 KiB


def faults_of_one_array() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(PAGES * 1024)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_a_large_array_is_touched_for_the_first_time_only_once():
    with reuse_freed_arrays():
        faults_of_one_array()
        again = faults_of_one_array()
    assert again < PAGES // 10


def test_the_block_may_fail():
    with pytest.raises(RuntimeError, match="stop"), reuse_freed_arrays():
        raise RuntimeError("stop")
    assert torch.ones(PAGES * 1024).sum() == PAGES * 1024
