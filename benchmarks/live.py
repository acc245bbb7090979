"""Frames through ``cdipipe live``: how many per second, how late, and how much memory, all by replay.

    cdipipe bench live

``sustained``: cdi_nn at 32^2, 1,000 frames a second asked for, 60,000 frames. ``latency``: the same at 500 a second.
``fastest``: as fast as it goes; ``iterations``: with 20 ER after each prediction. ``dpr``: the small network (width 16,
untrained) at 128^2, 60 a second asked for. ``memory``: of the process, a tenth of the way through 100,000 frames and at
the end. A full queue makes the replay wait, so nothing is dropped; ``patterns_per_s`` is what was kept up.
``processor_s`` are user and system seconds of the whole process, ``cores_of_others`` how many cores everything else on
the machine took meanwhile.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import run_all

CDIPIPE = [sys.executable, "-m", "cdipipe.cli.main"]
SHOTS = "simulate polygons --set size=32 --set count=512 --set photons=1e5 --seed 1 -o M.cxi"
LARGE = "simulate pseudo_objects --set size=128 --set object_size=16 --set count=64 --seed 1 -o L.cxi"


def run(name: str, source: str, *options: str) -> dict:
    """Totals of a live run, its processor seconds, and its memory on the way."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*CDIPIPE, *(LARGE if "L.cxi" in source else SHOTS).split()], cwd=folder, check=True)
        if name == "dpr":
            untrained_dpr(Path(folder) / "small.pt")
        before, busy_before = resource.getrusage(resource.RUSAGE_CHILDREN), busy_s()
        command = [*CDIPIPE, "live", f"replay:{source}", "-o", "out.cxi", "--json", *options]
        began = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
        memory = watch(process, Path(folder) / "out.cxi")
        totals = json.loads(process.stdout.read())
        after, busy_after, took = resource.getrusage(resource.RUSAGE_CHILDREN), busy_s(), time.perf_counter() - began
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    totals.pop("output")
    others = round((busy_after - busy_before - spent) / took, 2)
    about = {"source": source, "options": " ".join(options)}
    return {**about, **totals, "processor_s": round(spent, 2), "cores_of_others": others, **memory}


def busy_s() -> float:
    """Seconds that the cores of this machine have worked, for anybody."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / os.sysconf("SC_CLK_TCK")  # neither idle nor waiting for a disk


def untrained_dpr(path: Path) -> None:
    """A checkpoint of the small network: as fast as a trained one."""
    import torch

    from cdipipe.networks.checkpoint import Checkpoint, write_checkpoint
    from cdipipe.networks.dpr.settings import DprNetwork, DprSettings
    from cdipipe.networks.registry import get_network

    torch.manual_seed(0)
    settings = DprSettings(network=DprNetwork(size=128, width=16))
    network = get_network("dpr")
    write_checkpoint(path, Checkpoint(network, settings, network.build(settings.network).state_dict()))


def watch(process: subprocess.Popen, output: Path) -> dict:
    """Resident memory in MiB: a tenth of the way after the file appeared, and at the end."""
    seen = []
    while process.poll() is None:
        if output.exists():
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            seen += [int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")]
        time.sleep(0.25)
    tenth = seen[len(seen) // 10] if seen else 0.0
    return {"memory_mib": {"a tenth": round(tenth), "end": round(seen[-2] if len(seen) > 1 else tenth)}}


def sustained() -> dict:
    return run("sustained", "M.cxi?rate=1000&frames=60000", "-m", "cdi_nn")


def memory() -> dict:
    return run("memory", "M.cxi?frames=100000", "-m", "cdi_nn")


def latency() -> dict:
    return run("latency", "M.cxi?rate=500&frames=15000", "-m", "cdi_nn")


def fastest() -> dict:
    return run("fastest", "M.cxi?frames=15000", "-m", "cdi_nn")


def iterations() -> dict:
    return run("iterations", "M.cxi?frames=8000", "-m", "cdi_nn", "--then", "20*ER")


def dpr() -> dict:
    return run("dpr", "L.cxi?rate=60&frames=1500", "-m", "dpr", "--checkpoint", "small.pt")


if __name__ == "__main__":
    run_all(__doc__, "live", {part.__name__: part for part in (sustained, latency, fastest, iterations, dpr, memory)})
