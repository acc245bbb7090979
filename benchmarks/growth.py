"""How cost grows: with restarts, array size, frames, the size of a corpus, and what a second core gives back.

    python benchmarks/growth.py [--only restarts size frames corpus cores] [-o FILE]

restarts   seconds of 100 HIO iterations at 128^2 for 1 to 32 restarts at once
size       seconds of 50 HIO iterations of one restart from 64^2 to 1024^2, and 32^3 to 128^3
frames     seconds of 20 in_situ iterations at 64^2 for 2 to 32 frames
corpus     seconds of `cdipipe corpus polygons` at 32^2 for 256 to 4096 samples, start-up and files included
cores      seconds of 8 restarts of 200 HIO iterations at 256^2 with 1, 2, ... threads

All but the last run on one thread and give processor seconds, which depend little on what else the computer does; the
last gives seconds on the clock and means something on an idle computer only. Each value is the smallest of a few.
Results go to benchmarks/results/growth.json.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import record
import torch

from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.settings import validate
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

REPEATS = 3


def scene(name: str, **settings):
    """A measurement of a scene."""
    chosen = get_scene(name)
    return simulate(chosen, validate(chosen.parameters, settings, name), seed=1)[0]


def seconds_of(measurement, recipe: dict, clock=time.process_time) -> float:
    """Smallest time of a few whole reconstructions, after one that warms up."""
    chosen, times = recipe_from_mapping(recipe), []
    for _ in range(REPEATS + 1):
        began = clock()
        reconstruct(measurement, chosen, seed=1)
        times.append(clock() - began)
    return min(times[1:])


def hio(iterations: int, restarts: int = 1) -> dict:
    return {"method": "hio", "iterations": iterations, "restarts": restarts, "closing_er": 0}


def restarts() -> dict:
    """Restarts -> processor seconds."""
    pattern = scene("polygons", size=128)
    return {n: seconds_of(pattern, hio(100, n)) for n in (1, 2, 4, 8, 16, 32)}


def size() -> dict:
    """Pixels -> processor seconds, planes and volumes."""
    planes = {n: seconds_of(scene("polygons", size=n), hio(50)) for n in (64, 128, 256, 512, 1024)}
    volumes = {n: seconds_of(scene("polygons", size=n, dimensions=3), hio(50)) for n in (32, 64, 128)}
    return {"planes": {n**2: s for n, s in planes.items()}, "volumes": {n**3: s for n, s in volumes.items()}}


def frames() -> dict:
    """Frames -> processor seconds."""
    recipe = {"method": "in_situ", "static": "known", "iterations": 20, "er_iterations": 5}
    return {
        n: seconds_of(scene("cell", size=64, frames=n, sample_photons_per_pixel=10), recipe) for n in (2, 4, 8, 16, 32)
    }


def corpus() -> dict:
    """Samples -> processor seconds of the whole command."""
    found = {}
    for count in (256, 1024, 4096):
        with tempfile.TemporaryDirectory() as folder:
            call = [sys.executable, "-m", "cdipipe.cli.main", "corpus", "polygons", "-o", f"{folder}/c"]
            before = os.times()
            subprocess.run([*call, f"--count={count}", "--set=size=32"], check=True, stdout=subprocess.DEVNULL)
            after = os.times()
        found[count] = after.children_user + after.children_system - before.children_user - before.children_system
    return found


def cores() -> dict:
    """Threads -> seconds on the clock."""
    pattern, found = scene("polygons", size=256), {}
    for threads in range(1, min(os.cpu_count() or 1, 8) + 1):
        torch.set_num_threads(threads)
        found[threads] = seconds_of(pattern, hio(200, 8), time.perf_counter)
    torch.set_num_threads(1)
    return found


def main() -> None:
    parts = {part.__name__: part for part in (restarts, size, frames, corpus, cores)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(parts), default=list(parts))
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {"load_before": os.getloadavg()[0]}
    for name in arguments.only:
        result[name] = parts[name]()
        print(name, result[name], flush=True)
    print(record.write("growth", result, arguments.output))


if __name__ == "__main__":
    main()
