"""CDI NN: what the shipped weights reach on unseen polygons, how fast, and beside iterative phasing.

    python benchmarks/cdi_nn.py                      all of it, some minutes
    python benchmarks/cdi_nn.py --only scores --checkpoint RUN/best.pt -o scores.json

scores   in one pass (views=1): 1,000 polygons that no training has seen, phases of 0.8 pi and of 2 pi peak to peak,
         noise-free and with 1e4, 1e5 and 1e6 photons: complex and shape correlation (twin, shift and phase undone),
         R-factor, chi2; also as the mean of two and of eight views, and in bf16
speed    seconds per pattern, one at a time and in batches, and 620 iterations of our ER and HIO on the pattern of such
         a polygon in the middle of 64 x 64, taking turns in this process (the paper: 2.7 ms and 1.5 s)
iterate  the objects that these 620 iterations find from oversampled, noise-free patterns of the first 20 polygons,
         beside the network's
views    only on request: 1, 2, 4 and 8 views in 32 and 16 bits on the threads of OMP_NUM_THREADS, what they reach on
         the same noise-free polygons, and milliseconds per pattern one at a time and in batches

Results go to benchmarks/results/cdi_nn.json, those of views to cdi_nn_views.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import record
import torch

from cdipipe.methods.cdi_nn import CdiNnParameters
from cdipipe.metrics.align import align_to
from cdipipe.metrics.fourier import chi2, intensity_scale, r_factor
from cdipipe.networks.predictor import load_predictor
from cdipipe.optics import fourier
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.batches import draw_batch
from cdipipe.simulation.registry import get_scene

SEED = 1_000_003
"""Of the test polygons; trainings derive theirs from other numbers."""
RANGES = {"0.8pi": 0.8 * math.pi, "2pi": 2 * math.pi}
SEQUENCE = "3*(20*ER+180*HIO)+20*ER"


def draw(span: float, photons: float, count: int, first: int = 0) -> dict[str, np.ndarray]:
    """Polygons over the whole 32 x 32 grid; the same objects whatever the photons."""
    scene = get_scene("polygons")
    parameters = scene.parameters(size=32, photons=photons, phase_range_rad=span)
    return draw_batch(scene, parameters, SEED, range(first, first + count)).arrays


def correlation(first, second) -> float:
    return float(abs(np.vdot(first, second)) / max(np.linalg.norm(first) * np.linalg.norm(second), 1e-30))


def score(truths, found, intensities) -> dict[str, float]:
    """Means and spreads over the patterns, and what share of them is good."""
    rows = []
    for truth, object_, intensity in zip(truths, found, intensities, strict=True):
        laid = align_to(truth, object_)
        predicted = fourier.forward(torch.from_numpy(object_)).abs().square().double().numpy()
        everything = np.ones(intensity.shape, bool)
        scaled = predicted * intensity_scale(predicted, intensity, everything)
        misfits = [f(scaled, intensity, everything) for f in (r_factor, chi2)]
        rows.append([laid.correlation, correlation(np.abs(truth), np.abs(laid.object)), *misfits])
    values = np.array(rows)
    names = ("complex_correlation", "shape_correlation", "r_factor", "chi2")
    means = {name: float(column.mean()) for name, column in zip(names, values.T, strict=True)}
    spread = {f"{name}_std": float(column.std()) for name, column in zip(names, values.T, strict=True)}
    return means | spread | {"complex_correlation_median": float(np.median(values[:, 0]))}


@torch.inference_mode()
def predict(predictor, intensities: np.ndarray, batch: int = 256) -> np.ndarray:
    counts = torch.from_numpy(intensities)
    parts = [predictor(part, torch.ones_like(part, dtype=torch.bool))[0] for part in counts.split(batch)]
    return torch.cat(parts).numpy()


def measure_scores(predictor, count: int, doses=(0.0, 1e6, 1e5, 1e4)) -> dict:
    results = {}
    for name, span in RANGES.items():
        for photons in doses:
            arrays = draw(span, photons, count)
            found = predict(predictor, arrays["intensity"])
            key = f"{name}, " + (f"{photons:.0e} photons" if photons else "noise-free")
            results[key] = score(arrays["object"], found, arrays["intensity"])
            print(key, {k: round(v, 4) for k, v in results[key].items()}, flush=True)
    return {"patterns": count, "seed": SEED, **results}


def padded_measurement(object_: np.ndarray):
    """The oversampled pattern of a polygon: its object in the middle of 64 x 64."""
    from cdipipe.measurement import Measurement

    wide = np.zeros((64, 64), np.complex64)
    wide[16:48, 16:48] = object_
    intensity = fourier.forward(torch.from_numpy(wide)).abs().square().numpy()
    return Measurement(intensity, np.ones((64, 64), bool)), wide


def measure_speed(predictor, two, half, rounds: int) -> dict:
    """Least and median seconds of each, taking turns."""
    arrays = draw(RANGES["2pi"], 1e5, 256)
    counts = torch.from_numpy(arrays["intensity"])
    single, seen = counts[:1], torch.ones_like(counts[:1], dtype=torch.bool)
    measurement, _ = padded_measurement(arrays["object"][0])
    recipe = recipe_from_mapping({"sequence": SEQUENCE})

    @torch.inference_mode()
    def one(chosen):
        chosen(single, seen)

    jobs = {
        "one_pattern": (lambda: one(predictor), 50, 50),
        "batch_of_256": (lambda: predict(predictor, arrays["intensity"]), 1, 256),
        "batch_of_256_bf16": (lambda: predict(half, arrays["intensity"]), 1, 256),
        "one_pattern_two_views": (lambda: one(two), 20, 20),
        "batch_of_256_two_views": (lambda: predict(two, arrays["intensity"]), 1, 256),
        "er_hio_620": (lambda: reconstruct(measurement, recipe, seed=1), 1, 1),
    }
    seconds = {name: [] for name in jobs}
    for _ in range(rounds):
        for name, (job, repeats, patterns) in jobs.items():
            began = time.perf_counter()
            for _ in range(repeats):
                job()
            seconds[name].append((time.perf_counter() - began) / patterns)
    result = {}
    for name, values in seconds.items():
        result[name] = {"least_s": min(values), "median_s": float(np.median(values))}
    for name in ("one_pattern", "batch_of_256", "one_pattern_two_views", "batch_of_256_two_views"):
        ratios = [a / b for a, b in zip(seconds["er_hio_620"], seconds[name], strict=True)]
        result[f"er_hio_620_over_{name}"] = float(np.median(ratios))
    print(json.dumps(result, indent=1), flush=True)
    return {"rounds": rounds, "load": os.getloadavg()[0], **result}


def measure_iterate(predictor, count: int) -> dict:
    """The same polygons by iterations on patterns that are oversampled twice, which the network does not need."""
    results = {}
    for name, span in RANGES.items():
        arrays = draw(span, 0.0, count)
        recipe = recipe_from_mapping({"sequence": SEQUENCE, "average_last": 20})
        rows = []
        for object_ in arrays["object"]:
            measurement, wide = padded_measurement(object_)
            rows.append(align_to(wide, reconstruct(measurement, recipe, seed=1).object).correlation)
        found = predict(predictor, arrays["intensity"])
        ours = [align_to(t, o).correlation for t, o in zip(arrays["object"], found, strict=True)]
        results[name] = {"er_hio_620": float(np.mean(rows)), "cdi_nn": float(np.mean(ours))}
        print(name, results[name], flush=True)
    return {"patterns": count, **results}


def measure_views(parameters, count: int) -> dict:
    """Correlations and least milliseconds of some rounds for each number of views and precision."""
    results, arrays = {}, {name: draw(span, 0.0, count) for name, span in RANGES.items()}
    for precision in ("32", "bf16"):
        for views in (1, 2, 4, 8):
            chosen = parameters.model_copy(update={"views": views, "precision": precision})
            predictor, found = load_predictor("cdi_nn", chosen, torch.device("cpu")), {}
            for name, drawn in arrays.items():
                objects = predict(predictor, drawn["intensity"])
                pairs = zip(drawn["object"], objects, strict=True)
                found[name] = float(np.mean([align_to(t, o).correlation for t, o in pairs]))
            counts = arrays["2pi"]["intensity"]
            found["batch_ms"] = 1e3 / 256 * min(timed(predictor, counts[:256]) for _ in range(4))
            found["single_ms"] = 1e3 * min(timed(predictor, counts[:1]) for _ in range(30))
            results[f"{views} views, {precision}"] = found
            print(views, precision, {k: round(v, 4) for k, v in found.items()}, flush=True)
    return {"patterns": count, "threads": torch.get_num_threads(), "load": os.getloadavg()[0], **results}


def timed(predictor, intensities: np.ndarray) -> float:
    """Seconds of one prediction."""
    began = time.perf_counter()
    predict(predictor, intensities)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=["scores", "speed", "iterate"])
    parser.add_argument("--checkpoint", help="default: the weights of the package")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    parameters = CdiNnParameters(checkpoint=arguments.checkpoint, views=1)
    if arguments.only == ["views"]:
        result = {"views": measure_views(parameters, arguments.count)}
        print(record.write("cdi_nn_views", result, arguments.output))
        return
    predictor = load_predictor("cdi_nn", parameters, torch.device("cpu"))
    two = load_predictor("cdi_nn", parameters.model_copy(update={"views": 2}), torch.device("cpu"))
    eight = load_predictor("cdi_nn", parameters.model_copy(update={"views": 8}), torch.device("cpu"))
    half = load_predictor("cdi_nn", parameters.model_copy(update={"precision": "bf16"}), torch.device("cpu"))
    result = {}
    if "scores" in arguments.only:
        result["scores"] = measure_scores(predictor, arguments.count)
        result["scores_two_views"] = measure_scores(two, arguments.count, (0.0, 1e4))
        result["scores_eight_views"] = measure_scores(eight, arguments.count, (0.0,))
        result["scores_bf16"] = measure_scores(half, arguments.count, (0.0,))
    if "speed" in arguments.only:
        result["speed"] = measure_speed(predictor, two, half, arguments.rounds)
    if "iterate" in arguments.only:
        result["iterate"] = measure_iterate(predictor, min(arguments.count, 20))
    print(record.write("cdi_nn", result, arguments.output))


if __name__ == "__main__":
    main()
