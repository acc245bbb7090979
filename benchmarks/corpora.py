"""Corpora: how fast samples are made and read back, on one core and on two, and how much memory a builder takes.

    python benchmarks/corpora.py             all of it, some minutes
    python benchmarks/corpora.py build read

build    samples per second, files included, of one process and of two side by side (after a warm-up chunk each)
read     samples and MB per second through the loader, against the rate at which CDI NN trains on a core
memory   peak resident memory of `cdipipe corpus` for each kind, whole process

Results go to benchmarks/results/corpora.json.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")
from common import run_all

COUNT, REPEATS = 8192, 3
CDI_NN_SAMPLES_PER_SECOND = 180
"""CDI NN at full width on one core, forward and backward."""
POLYGONS = {"size": 32, "photons": 1e5}
SMALL = {
    "polygons": {"size": 256},
    "pseudo_objects": {"size": 512},
    "static_region": {},
    "cell": {},
    "particles": {"frames": 50},
    "test_chart": {"frames": 50},
    "crystal": {},
}
"""Kinds whose peak memory is measured, 40 samples each (movies and crystals: 4)."""

WORKER = """
import json, sys, time
from pathlib import Path
from cdipipe.simulation.corpora import build_one, make_plan
from cdipipe.io.corpus.plan import settle_plan
folder, count, start = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
settings = [f"{k}={v}" for k, v in json.loads(sys.argv[4]).items()]
for name, n in (("warm", 256), ("timed", count)):
    plan = make_plan("polygons", folder / name, {"count": n, "shards": 1, "seed": 0, "chunk_samples": None}, settings)
    settle_plan(folder / name, plan)
    if name == "timed":
        time.sleep(max(0.0, start - time.time()))
    began, cpu = time.time(), time.process_time()
    build_one(folder / name, plan, 0, "benchmark")
print(json.dumps([began, time.time(), time.process_time() - cpu]))
"""
PEAK = """
import resource, sys
from cdipipe.cli.main import run
code = run(sys.argv[1:])
usage = [resource.getrusage(who).ru_maxrss / 2**20 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(code, sum(usage))
"""


def build() -> dict:
    """One and two processes in turn.

    Wall clock says what a user gets on this machine as it was; samples per second of processor time do not depend on
    who else was running, and their ratio shows what two builders cost each other.
    """
    wall: dict[int, list[float]] = {1: [], 2: []}
    cpu: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(REPEATS):
        for processes in wall:
            rate, core_rate = _rates(processes, COUNT)
            wall[processes].append(rate)
            cpu[processes].append(core_rate)
            print(processes, f"processes: {rate:.0f} samples/s, {core_rate:.0f} per processor second", flush=True)
    return {
        "samples": COUNT,
        "settings": POLYGONS,
        "load_average": round(os.getloadavg()[0], 2),
        "samples_per_second": _rounded(wall),
        "samples_per_processor_second": _rounded(cpu),
        "two_over_one": round(max(wall[2]) / max(wall[1]), 3),
        "two_over_one_by_processor_time": round(2 * max(cpu[2]) / max(cpu[1]), 3),
    }


def _rounded(rates: dict[int, list[float]]) -> dict:
    return {str(processes): [round(rate, 1) for rate in found] for processes, found in rates.items()}


def _rates(processes: int, count: int) -> tuple[float, float]:
    """Samples per second of wall clock, all processes together, and per second of one processor."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.time() + 8.0  # all are warm by then
        jobs = [
            subprocess.Popen(
                [sys.executable, "-c", WORKER, f"{folder}/{i}", str(count), str(start), json.dumps(POLYGONS)],
                stdout=subprocess.PIPE,
            )
            for i in range(processes)
        ]
        spans = [json.loads(job.communicate()[0]) for job in jobs]
        samples = processes * count
        seconds = max(end for _, end, _ in spans) - min(began for began, _, _ in spans)
        return samples / seconds, samples / sum(cpu for _, _, cpu in spans)


def read() -> dict:
    """Epochs through the loader in this process, without a network."""
    import torch

    from cdipipe.cli.main import run
    from cdipipe.training.data import CorpusDataset

    torch.set_num_threads(1)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        options = [f"--set={key}={value}" for key, value in POLYGONS.items()]
        assert run(["corpus", "polygons", "-o", f"{folder}/c", f"--count={COUNT}", *options]) == 0
        dataset = CorpusDataset(f"{folder}/c", batch_size=64, arrays=("intensity", "object"))
        for epoch in range(REPEATS):
            dataset.set_epoch(epoch)
            began, samples, size = time.perf_counter(), 0, 0
            for batch in dataset:
                samples += len(batch["index"])
                size += sum(batch[name].nbytes for name in dataset.arrays)
            seconds = time.perf_counter() - began
            rows.append(
                {"samples_per_second": round(samples / seconds), "mb_per_second": round(size / seconds / 1e6, 1)}
            )
            print("read:", rows[-1], flush=True)
    best = max(row["samples_per_second"] for row in rows)
    return {"samples": COUNT, "epochs": rows, "times_training_rate": round(best / CDI_NN_SAMPLES_PER_SECOND, 1)}


def memory() -> dict:
    """Peak resident memory of the command for each kind, GiB."""
    from cdipipe.simulation.registry import all_scenes

    found = {}
    for kind in all_scenes():
        if kind not in SMALL:
            continue
        options = [f"--set={key}={value}" for key, value in SMALL[kind].items()]
        with tempfile.TemporaryDirectory() as folder:
            count = 4 if "frames" in SMALL[kind] or kind == "crystal" else 40
            arguments = ["corpus", kind, "-o", f"{folder}/c", f"--count={count}", *options]
            result = subprocess.run(
                [sys.executable, "-c", PEAK, *arguments], capture_output=True, text=True, check=False
            )
            last = result.stdout.strip().splitlines()[-1:] or ["? ?"]
            code, peak = last[0].split()
            found[kind] = {"settings": SMALL[kind], "samples": count}
            found[kind] |= (
                {"peak_gib": round(float(peak), 3)} if code == "0" else {"failed": result.stderr.strip()[-200:]}
            )
            print(kind, found[kind], flush=True)
    return found


if __name__ == "__main__":
    run_all(__doc__, "corpora", {part.__name__: part for part in (build, read, memory)})
