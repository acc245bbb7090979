"""CDIP on movies, beside multi-frame PIE and PID3Net on the same frames.

    python benchmarks/dynamic.py particles   Brownian gold spheres, four probe modes, 3e7 photons per frame
    python benchmarks/dynamic.py chart       the moving star chart, five modes behind a triangular aperture: speeds
    python benchmarks/dynamic.py chart_round as `chart`, round aperture: hardly anything tells the twin image apart
    python benchmarks/dynamic.py open        as `particles`, with spheres that leave the field and others that enter
    python benchmarks/dynamic.py jumps       as `particles`, with spheres that jump
    python benchmarks/dynamic.py siemens     measured single shots of a Siemens star, put in order along a short path;
                                             probe modes and truth by ptychography (needs CDIPIPE_DATA_DIR)
    python benchmarks/dynamic.py prtf        phase retrieval transfer of `chart` and `particles`, a few frames:
                                             the same frames with 20 draws of noise, each with another seed
    python benchmarks/dynamic.py growth      bytes of field and optimiser and the time of a step, against the
                                             number of frames and the size of the array
    python benchmarks/dynamic.py judge --keep FOLDER     the kept movies once more, where a measure has changed

Seconds are those of the processor; run it with OMP_NUM_THREADS=1. Each case and method is one entry of
benchmarks/results/dynamic.json and replaces the entry of its name only. With --keep the objects go to FOLDER, from
which benchmarks/dynamic_figures.py draws.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import ptychography
import record

from cdipipe.measurement import Measurement, Truth
from cdipipe.metrics import fourier
from cdipipe.metrics.cases import MovieCase
from cdipipe.metrics.evaluate import judge_movie
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

MOVIE_SEED = 21
"""Not the seed with which settings were chosen."""
OFF_CENTRE_PX = (0, 70)
"""Where the measured frames begin, from the scan's middle: among the spokes."""
PID3NET = {"rate": 3e-3, "windows": 1, "refinement": "gradient", "refinement_steps": 10}
METHODS = {
    "cdip": {"method": "cdip", "iterations": 150},
    "mf_pie": {"method": "mf_pie", "iterations": 60},
    "mf_pie_single": {"method": "mf_pie", "iterations": 60, "neighbours": 0},
    "mf_pie_smooth": {"method": "mf_pie", "iterations": 60, "neighbours": 0, "tv_space": 1e-2},
    "pid3net": {"method": "pid3net", "iterations": 25, **PID3NET},
    "pid3net_40": {"method": "pid3net", "iterations": 60, **PID3NET},  # of a movie of 40 frames
}
PARTICLES = {"illumination": "probe", "photons": 3e7}
CHART = {"photons": 3e7, "spokes": 12, "start_offset": 0.1}  # spokes where the light is
SCENES = {
    "particles": ("particles", PARTICLES),
    "chart": ("test_chart", CHART),
    "chart_round": ("test_chart", {**CHART, "probe_aperture": "round"}),
    "open": ("particles", {**PARTICLES, "boundary": "open", "particle_count": 20}),
    "jumps": ("particles", {**PARTICLES, "jump_probability": 0.01}),
}
FOR_CASE = {"chart": {"cdip": {"movie": {"time_cells": 0.2}}}}
"""Known beforehand: a chart on a stage moves smoothly, so a time cell may last five frames."""
PRTF_FRAMES, PRTF_DRAWS = 5, 20
NEAR = 1
"""Frames to either side of an event that count as being at it."""


def simulated(case: str, frames: int, size: int, seed: int, **changed):
    """Measurement and truth of a case."""
    name, settings = SCENES[case]
    scene = get_scene(name)
    return simulate(scene, scene.parameters(size=size, frames=frames, **(settings | changed)), seed)


def run(mapping: dict, measurement, seed: int = 0):
    """The reconstruction and seconds of the processor."""
    began = time.process_time()
    result = reconstruct(measurement, recipe_from_mapping(mapping), seed=seed)
    return result, time.process_time() - began


def judge(result, measurement, truth) -> dict:
    """Everything that a movie's frames say, as plain data."""
    pixel = measurement.geometry.object_pixel_m(measurement.pattern_shape[-1])
    true_object = None if truth is None else truth.object
    found, curves = measures(result.object, measurement.probe_modes, true_object, measurement.frame_times_s, pixel)
    found["r_factor"] = float(np.mean(result.run_scores["r_factor"]))
    if truth is not None:
        found |= at_events(curves["movie_field_phase_correlation"], truth)
    return found


def measures(objects, probe_modes, true_object, times_s, pixel_m) -> tuple[dict, dict]:
    """Metrics of a movie, quartiles of its speeds and its lowest correlation; and the curves behind them."""
    metrics, curves = judge_movie(MovieCase(objects, probe_modes, true_object, times_s, pixel_m))
    found = {name: float(value) for name, value in metrics.items()}
    for name in ("speed_lag1", "speed_lag10"):
        if f"movie_{name}_m_per_s" in curves:
            quartiles = np.quantile(curves[f"movie_{name}_m_per_s"], (0.25, 0.5, 0.75))
            found[f"{name}_quartiles_m_per_s"] = [float(q) for q in quartiles]
    if "movie_field_phase_correlation" in curves:
        found["lowest_correlation"] = float(curves["movie_field_phase_correlation"].min())
    return found, curves


def at_events(correlation: np.ndarray, truth) -> dict:
    """Mean correlation of the frames at jumps or entries, and of all others; nothing where there are none."""
    happened = np.zeros(len(correlation), bool)
    jumped = truth.extra.get("jumped")
    if jumped is not None:
        happened[1:] |= jumped.any(1)
    if truth.extra.get("boundary") == "open":
        inside = (np.abs(truth.extra["positions_m"]) < truth.extra["box_m"] / 3.2).all(-1)
        happened[1:] |= (inside[1:] != inside[:-1]).any(1)
    at = np.convolve(happened, np.ones(2 * NEAR + 1), "same") > 0
    if not at.any() or at.all():
        return {}
    return {"events": int(happened.sum()), "correlation_at_events": float(correlation[at].mean()),
            "correlation_elsewhere": float(correlation[~at].mean())}  # fmt: skip


def siemens(frames: int) -> tuple[Measurement, Truth]:
    """Frames of the measured scan, each nearest to the one before among those not taken yet; probe and truth by
    ptychography of the whole scan."""
    scan = ptychography.read_scan()
    solved = ptychography.solve(scan)
    places = scan.places
    middle = int(np.argmin(np.linalg.norm(places - places.mean(0) - OFF_CENTRE_PX, axis=1)))
    order, left = [middle], set(range(len(places))) - {middle}
    while len(order) < frames:
        nearest = min(left, key=lambda index: float(np.linalg.norm(places[index] - places[order[-1]])))
        order.append(nearest)
        left.remove(nearest)
    counts = np.fft.fftshift(scan.counts[order], (-2, -1)).astype(np.float32)
    steps = np.linalg.norm(np.diff(places[order], axis=0), axis=1)
    note = {"scan_order": [int(i) for i in order], "steps_px": [float(s) for s in steps]}
    note["ptychography_r_factor"] = solved.r_factor
    measured = np.ones(counts.shape[1:], bool)
    measurement = Measurement(counts, measured, "movie", probe_modes=solved.modes, provenance=note)
    objects = np.stack([solved.around(places[index]) for index in order])
    return measurement, Truth(objects, np.ones(objects.shape, bool), "movie")


def compare(case: str, arguments) -> None:
    """All wanted methods on one case; each is written as soon as it is there."""
    if case == "siemens":
        measurement, truth = siemens(arguments.frames)
    else:
        measurement, truth = simulated(case, arguments.frames, arguments.size, arguments.movie_seed)
    if case in SCENES:
        still = SimpleNamespace(object=truth.object, run_scores={"r_factor": 0.0})
        put(f"{case}/truth", {"frames": arguments.frames, **judge(still, measurement, None)}, arguments.output)
    for name in arguments.methods:
        mapping = METHODS[name] | FOR_CASE.get(case, {}).get(name, {}) | json.loads(arguments.set or "{}")
        result, seconds = run(mapping, measurement, arguments.seed)
        entry = {"frames": arguments.frames, "size": measurement.pattern_shape[-1], "seed": arguments.seed}
        entry |= {"movie_seed": arguments.movie_seed} if case in SCENES else measurement.provenance
        entry |= {"settings": mapping, "processor_seconds": seconds, "load": os.getloadavg()[0]}
        entry |= judge(result, measurement, truth)
        put(f"{case}/{arguments.label or name}", entry, arguments.output)
        if arguments.keep:
            keep(arguments.keep / f"{case}-{arguments.label or name}.npz", result, measurement, truth)


def keep(path: Path, result, measurement, truth) -> None:
    """What the figures need, cut to where the light is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lit = np.abs(measurement.probe_modes).max(0) > 1e-3 * np.abs(measurement.probe_modes).max()
    rows, columns = (np.nonzero(lit.any(axis))[0] for axis in (1, 0))
    box = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    arrays = {"object": result.object[box], "probe_modes": measurement.probe_modes[box]}
    arrays["centre_px"] = np.array(lit.shape) // 2 - [rows[0], columns[0]]
    if truth is not None:
        arrays["truth"] = truth.object[box]
        arrays |= {name: truth.extra[name] for name in ("positions_m", "jumped") if name in truth.extra}
    if measurement.frame_times_s is not None:
        arrays["times_s"] = measurement.frame_times_s
        arrays["pixel_m"] = measurement.geometry.object_pixel_m(measurement.pattern_shape[-1])
    np.savez_compressed(path, **arrays)


def prtf(arguments) -> None:
    """How well runs on other photons of the same frames agree on the phases of the wavefront, against frequency."""
    for case in ("chart", "particles"):
        clean, truth = simulated(case, PRTF_FRAMES, arguments.size, arguments.movie_seed, photons=0)
        modes = clean.probe_modes * np.sqrt(SCENES[case][1]["photons"] * PRTF_FRAMES / clean.intensity.sum())
        mean = np.stack([np.abs(_wavefronts(frame, modes)) ** 2 for frame in truth.object]).sum(1)
        for name in ("cdip", "mf_pie"):
            mapping = METHODS[name] | FOR_CASE.get(case, {}).get(name, {})
            waves = []
            for draw in range(PRTF_DRAWS):
                counts = np.random.default_rng(draw).poisson(mean).astype(np.float32)
                noisy = replace(clean, intensity=counts, probe_modes=modes)
                objects = run(mapping, noisy, draw)[0].object
                waves.append([_wavefronts(_turned(frame, modes), modes) for frame in objects])
            curves = [
                fourier.phase_retrieval_transfer(np.array([wave[frame] for wave in waves]), mean[frame], clean.measured)
                for frame in range(PRTF_FRAMES)
            ]
            curve = fourier.smooth_rings(np.nanmean(curves, 0))
            frequencies = fourier.ring_frequencies(clean.pattern_shape)
            period = fourier.resolution_px(frequencies, curve, 1 / np.e)
            entry = {"frames": PRTF_FRAMES, "draws": PRTF_DRAWS, "size": arguments.size, "settings": mapping,
                     "curve": np.round(curve, 4).tolist(), "frequency": frequencies.tolist(),
                     "full_period_px": period or 2.0}  # fmt: skip
            put(f"prtf_{case}/{name}", entry, arguments.output)


def judge_again(arguments) -> None:
    """Metrics of the movies that were kept, where a measure has changed."""
    entries = json.loads((arguments.output or record.RESULTS / "dynamic.json").read_text())
    for path in sorted(arguments.keep.glob("*.npz")):
        name = next((name for name in entries if name.replace("/", "-") == path.stem), None)
        if name is None:
            continue
        with np.load(path) as file:
            kept = {key: file[key] for key in file.files}
        known = {"times_s": kept.get("times_s"), "pixel_m": kept.get("pixel_m"), "true_object": kept.get("truth")}
        put(name, entries[name] | measures(kept["object"], kept["probe_modes"], **known)[0], arguments.output)
        still = f"{name.split('/')[0]}/truth"
        if still in entries:
            known["true_object"] = None
            put(still, entries.pop(still) | measures(kept["truth"], kept["probe_modes"], **known)[0], arguments.output)


def _wavefronts(object_: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Wavefront of every mode, (M, H, W), centred, orthonormal."""
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(object_ * modes, (-2, -1)), norm="ortho"), (-2, -1))


def _turned(object_: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """A transmission whose mean phase in the light is zero: that of all of it is not known."""
    mean = (object_ * (np.abs(modes) ** 2).sum(0)).sum()
    return object_ * np.conj(mean) / max(abs(mean), 1e-30)


def growth(arguments) -> None:
    """What a fit holds and what a step and a rendered frame cost, against frames and size."""
    from cdipipe.methods.cdip import CdipParameters
    from cdipipe.methods.cdip.dynamic import MovieFit, find_movie_box
    from cdipipe.phasing.problem import Problem
    from cdipipe.phasing.stack import Start

    rows = []
    for frames, size in ((6, 128), (24, 128), (12, 64), (4, 256)):
        measurement, _ = simulated("particles", frames, size, MOVIE_SEED)
        problems = [Problem(measurement.pattern(i), "support", (-1.6, 1.6)) for i in range(frames)]
        parameters = CdipParameters()
        box = find_movie_box(problems, Start(), parameters)
        fit = MovieFit(problems, box, parameters, 0, ())
        optimiser = fit._optimiser()
        fit._pass(optimiser, "poisson")
        began = time.process_time()
        fit._pass(optimiser, "poisson")
        visit = (time.process_time() - began) / frames
        began = time.process_time()
        fit.render_frames()
        rendered = (time.process_time() - began) / frames
        numbers = sum(weight.numel() for weight in fit.movie.field.parameters())
        rows.append({"frames": frames, "size": size, "box": list(box.sides), "field_and_optimiser_bytes": 12 * numbers,
                     "movie_of_pixels_and_optimiser_bytes": 24 * frames * size**2,
                     "visit_ms": 1e3 * visit, "render_ms": 1e3 * rendered})  # fmt: skip
        print(rows[-1], flush=True)
    put("growth", {"rows": rows, "load": os.getloadavg()[0]}, arguments.output)


def put(name: str, entry: dict, output: Path | None) -> None:
    """Write one entry, the others as they are."""
    path = output or record.RESULTS / "dynamic.json"
    entries = {}
    if path.exists():
        entries = {key: value for key, value in json.loads(path.read_text()).items() if isinstance(value, dict)}
        entries.pop("machine", None)
    entry["commit"] = record.machine()["commit"]
    print(name, {key: value for key, value in entry.items() if key != "settings"}, flush=True)
    record.write("dynamic", entries | {name: entry}, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*SCENES, "siemens", "prtf", "growth", "judge"])
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=["cdip", "mf_pie", "pid3net"])
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0, help="of the reconstruction")
    parser.add_argument("--movie-seed", type=int, default=MOVIE_SEED, help="of the simulated movie")
    parser.add_argument("--set", help="parameters over those of the method, as JSON")
    parser.add_argument("--label", help="name of the entry instead of the method's")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="write the objects there, for figures")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    other = {"growth": growth, "prtf": prtf, "judge": judge_again}.get(arguments.what)
    other(arguments) if other else compare(arguments.what, arguments)


if __name__ == "__main__":
    main()
