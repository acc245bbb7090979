"""Gold crystals per hour: clipping, both minimisations by LAMMPS, voxels; and what a second core adds.

    python benchmarks/crystals.py gold [--count 12] [-o FILE]

Everything runs with OMP_NUM_THREADS=1: LAMMPS is serial, and crystals share nothing. One process makes ``count``
crystals of seeds 0 to count - 1 after a first one that is not counted (start-up is given by itself); then two processes
make the same crystals, half each. Times on the clock count only on a machine that is otherwise idle, ``load_before``
tells; processor time (of Python and LAMMPS together) depends on the load much less.
Results go to benchmarks/results/crystals.json.
"""

from __future__ import annotations

import os
import statistics
import time
from multiprocessing import get_context
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
from common import Part, run_one

from cdipipe.simulation.crystals import relaxation
from cdipipe.simulation.scenes.crystal import CrystalParameters, build

WARM_UP_SEED = 10**6
PARAMETERS = {"block_nm": 8.0, "first_etol": 1e-10}


def make_crystals(parameters: dict, seeds: list[int]) -> list[dict]:
    """Seconds, atoms and iterations of each crystal, one after the other in this process."""
    model = CrystalParameters(**parameters)
    rows = []
    for seed in seeds:
        began = time.perf_counter()
        extra = build(model, np.random.default_rng(seed)).extra
        rows.append(
            {
                "seed": seed,
                "seconds": round(time.perf_counter() - began, 3),
                "atoms": extra["atoms"],
                "iterations": extra["iterations"].tolist(),
                "converged": extra["converged"],
            }
        )
    return rows


def peak_mib(pid: int | str = "self") -> float | None:
    """Most memory that a process has held, where /proc tells."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def cpu_seconds(pid: int) -> float:
    """Processor time that this process and another have used, where /proc tells; else of this one."""
    status = Path(f"/proc/{pid}/stat")
    ticks = sum(map(int, status.read_text().rpartition(")")[2].split()[11:13])) if status.exists() else 0
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


def _start(parameters: dict, barrier) -> None:
    make_crystals(parameters, [WARM_UP_SEED])
    barrier.wait()


def time_two(parameters: dict, seeds: list[int]) -> float:
    """Seconds that two warm processes take for all seeds together."""
    context = get_context("spawn")
    barrier = context.Barrier(3)
    with context.Pool(2, _start, (parameters, barrier)) as pool:
        barrier.wait()
        began = time.perf_counter()
        pool.starmap(make_crystals, [(parameters, [seed]) for seed in seeds], chunksize=1)
        return time.perf_counter() - began


def measure(count: int) -> dict:
    parameters, seeds = PARAMETERS, list(range(count))
    load = os.getloadavg()[0]
    began = time.perf_counter()
    relaxation.shared_process()
    start_up = time.perf_counter() - began
    make_crystals(parameters, [WARM_UP_SEED])
    pid = relaxation.shared_process().pid
    cpu = -cpu_seconds(pid)
    rows = make_crystals(parameters, seeds)
    cpu += cpu_seconds(pid)
    lammps_mib = peak_mib(pid)
    relaxation.end_shared_process()
    one = sum(row["seconds"] for row in rows)
    two = time_two(parameters, seeds)
    return {
        "parameters": parameters,
        "load_before": round(load, 2),
        "start_up_s": round(start_up, 2),
        "crystals": rows,
        "median_s": statistics.median(row["seconds"] for row in rows),
        "cpu_s_per_crystal": round(cpu / count, 3),
        "per_cpu_hour": round(3600 * count / cpu),
        "per_hour_one_process": round(3600 * count / one),
        "per_hour_two_processes": round(3600 * count / two),
        "two_over_one": round(one / two, 2),
        "peak_mib": {"python": peak_mib(), "lammps": lammps_mib},
    }


if __name__ == "__main__":
    run_one(__doc__, {"gold": Part(measure, "crystals", 12)})
