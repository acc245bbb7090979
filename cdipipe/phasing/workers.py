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

import torch


class Stopped(Exception):
    """Raised inside a job after another one failed or Ctrl-C was pressed."""


def run_jobs(function: Callable, jobs: Iterable, device: torch.device, stop: threading.Event) -> Iterator:
    """Yield ``function(job)`` of one job after another, on a CPU with as many at a time as torch has threads.

    Parameters
    ----------
    function : called with one job; must end soon with ``Stopped`` once ``stop`` is set
    jobs : a single job keeps all threads for its transforms
    device : jobs on a GPU run one after another
    """
    jobs = list(jobs)
    threads = torch.get_num_threads()
    workers = min(threads, len(jobs)) if device.type == "cpu" else 1
    if workers <= 1:
        for job in jobs:
            yield function(job)
        return
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            futures = deque(pool.submit(function, job) for job in jobs)
            try:
                while futures:
                    yield futures.popleft().result()
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)
