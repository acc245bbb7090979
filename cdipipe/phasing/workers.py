"""Independent jobs on all cores: one thread each, one core each.

An iteration is a chain of short transforms. Splitting each over the cores waits at a barrier several times per
millisecond, and much longer on a machine that is busy; giving every core a start of its own never waits. It also makes
the result independent of the number of cores.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

WHOLE_PIXELS = 2**15
"""Smaller arrays are transformed by one thread: two are no faster, and wait for each other on a busy machine."""


class Stopped(Exception):
    """Raised inside a job after another one failed or Ctrl-C was pressed."""


def run_jobs(
    function: Callable, jobs: Iterable, device: torch.device, stop: threading.Event, pixels: int = WHOLE_PIXELS
) -> Iterator:
    """Yield ``function(job)`` of one job after another, on a CPU with as many at a time as torch has threads.

    Parameters
    ----------
    function : called with one job; must end soon with ``Stopped`` once ``stop`` is set
    jobs : a single job keeps all threads for its transforms
    device : jobs on a GPU run one after another
    pixels : of one array of a job; a single job of small arrays has one thread, too
    """
    jobs = list(jobs)
    threads = torch.get_num_threads()
    workers = min(threads, len(jobs)) if device.type == "cpu" else 1
    if workers <= 1:
        with _threads(1 if device.type == "cpu" and pixels < WHOLE_PIXELS else threads):
            for job in jobs:
                yield function(job)
        return
    with _threads(1), ThreadPoolExecutor(workers) as pool:
        futures = deque(pool.submit(function, job) for job in jobs)
        try:
            while futures:
                yield futures.popleft().result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """So many threads for the transforms of this process, until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
