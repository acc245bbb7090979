"""How cost grows: with restarts, array size, frames, the size of a corpus, and what a second core gives back.

    python benchmarks/growth.py [restarts] [size] [frames] [corpus] [cores] [field] [-o FILE]

restarts   seconds of 100 HIO iterations at 128^2 for 1 to 32 restarts at once
size       seconds of 50 HIO iterations of one restart from 64^2 to 1024^2, and 32^3 to 128^3
frames     seconds of 20 in_situ iterations at 64^2 for 2 to 32 frames
corpus     seconds of `cdipipe corpus polygons` at 32^2 for 256 to 4096 samples, start-up and files included
cores      seconds of 8 restarts of 200 HIO iterations at 256^2 with 1, 2, ... threads
field      what CDIP holds of a movie, and milliseconds of a frame in a pass and of drawing it, over frames and size

All but `cores` run on one thread and give processor seconds, which depend little on what else the computer does; it
gives seconds on the clock and means something on an idle computer only. Each value is the smallest of a few. Results go
to benchmarks/results/growth.json.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time

import torch
from common import processor_seconds, run_all

import cdipipe as cdi

REPEATS = 3


def seconds_of(measurement, recipe: dict, clock=time.process_time) -> float:
    """The smallest of a few reconstructions, after one that warms up."""
    times = []
    for _ in range(REPEATS + 1):
        began = clock()
        cdi.reconstruct(measurement, recipe, seed=1, device="cpu")
        times.append(clock() - began)
    return min(times[1:])


def hio(iterations: int, restarts: int = 1) -> dict:
    return {"method": "hio", "iterations": iterations, "restarts": restarts, "closing_er": 0}


def restarts() -> dict:
    """Restarts -> processor seconds."""
    pattern = cdi.simulate("polygons", seed=1, size=128)
    return {n: seconds_of(pattern, hio(100, n)) for n in (1, 2, 4, 8, 16, 32)}


def size() -> dict:
    """Pixels -> processor seconds, planes and volumes."""
    planes = {n: seconds_of(cdi.simulate("polygons", seed=1, size=n), hio(50)) for n in (64, 128, 256, 512, 1024)}
    solids = {n: cdi.simulate("polygons", seed=1, size=n, dimensions=3) for n in (32, 64, 128)}
    volumes = {n: seconds_of(solid, hio(50)) for n, solid in solids.items()}
    return {"planes": {n**2: s for n, s in planes.items()}, "volumes": {n**3: s for n, s in volumes.items()}}


def frames() -> dict:
    """Frames -> processor seconds."""
    recipe = {"method": "in_situ", "static": "known", "iterations": 20, "er_iterations": 5}
    counts = (2, 4, 8, 16, 32)
    movies = {n: cdi.simulate("cell", seed=1, size=64, frames=n, sample_photons_per_pixel=10) for n in counts}
    return {n: seconds_of(movie, recipe) for n, movie in movies.items()}


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
    pattern, found = cdi.simulate("polygons", seed=1, size=256), {}
    for threads in range(1, min(os.cpu_count() or 1, 8) + 1):
        torch.set_num_threads(threads)
        found[threads] = seconds_of(pattern, hio(200, 8), time.perf_counter)
    torch.set_num_threads(1)
    return found


def field() -> list[dict]:
    """A row for each of a few movies."""
    return [measure_field(count, size) for count, size in ((6, 128), (24, 128), (12, 64), (4, 256))]


def measure_field(count: int, size: int) -> dict:
    from cdipipe.methods.cdip import CdipParameters
    from cdipipe.methods.cdip.dynamic import MovieFit, find_movie_box
    from cdipipe.phasing.problem import Problem
    from cdipipe.phasing.starts import Start

    movie = cdi.simulate("particles", seed=21, size=size, frames=count, illumination="probe", photons=3e7)
    problems = [Problem(movie.pattern(i), "support", (-1.6, 1.6)) for i in range(count)]
    box = find_movie_box(problems, Start(), CdipParameters())
    fit = MovieFit(problems, box, CdipParameters(), 0, ())
    optimiser = fit._optimiser()
    fit._pass(optimiser, "poisson")
    visit = processor_seconds(lambda: fit._pass(optimiser, "poisson"))[1]
    drawing = processor_seconds(fit.render_frames)[1]
    numbers = sum(weight.numel() for weight in fit.movie.field.parameters())
    return {
        "frames": count,
        "size": size,
        "box": list(box.sides),
        "field_and_optimiser_bytes": 12 * numbers,
        "movie_of_pixels_and_optimiser_bytes": 24 * count * size**2,
        "visit_ms": 1e3 * visit / count,
        "render_ms": 1e3 * drawing / count,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_all(__doc__, "growth", {part.__name__: part for part in (restarts, size, frames, corpus, cores, field)})
