"""Independent jobs on all cores: one thread each, one core each.

An iteration is a chain of short transforms. Splitting each over the cores waits at a barrier several times per
millisecond, and much longer on a machine that is busy; giving every core a start of its own never waits. It also makes
the result independent of the number of cores.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import torch


class Stopped(Exception):
    """Raised inside a job after another one failed or Ctrl-C was pressed."""


def run_jobs(function: Callable, jobs: Iterable, device: torch.device, stop: threading.Event) -> list:
    """``[function(job) for job in jobs]``, on a CPU with as many jobs at a time as torch has threads.

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
        return [function(job) for job in jobs]
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(workers) as pool:
            futures = [pool.submit(function, job) for job in jobs]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stop.set()
                pool.shutdown(cancel_futures=True)
                raise
    finally:
        torch.set_num_threads(threads)
