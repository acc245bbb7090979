"""What CDI NN reaches on unseen polygons, as predicted and refined: weak and strong phases, few photons; and how fast.

    python benchmarks/cdi_nn_refined.py
    python benchmarks/cdi_nn_refined.py --checkpoint run/best.pt -o other.json

Twin, shift and global phase are undone. Milliseconds are processor time of one core, least of several rounds, next to
620 iterations of ER and HIO on an oversampled pattern.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import torch
from common import SEQUENCE, parser_of, processor_seconds, write

SEED, MOST, ROUNDS, STEPS = 1000003, 200, 3, 75
SPANS = {"0.8 pi": 2.513274, "2 pi": 6.283185}
CASES = {
    "1 view": (200, 0, 1, 0),
    "1 view, refined": (200, 0, 1, STEPS),
    "8 views, refined": (200, 0, 8, STEPS),
    "1 view, 1e4 photons": (100, 1e4, 1, 0),
    "1 view, 1e4 photons, refined": (100, 1e4, 1, STEPS),
    "8 views, 1e4 photons, refined": (100, 1e4, 8, STEPS),
}
"""How many objects, photons of a pattern (0: noise-free), views, steps of refinement."""


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--checkpoint", type=Path, help="not given: the weights of the package")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    record = {"seed": SEED}
    for name, span in SPANS.items():
        record[name] = {}
        for case, (count, photons, views, refine) in CASES.items():
            intensity, objects = drawn(span, photons)
            predictor = predictor_of(arguments.checkpoint, views, refine)
            record[name][case] = {"objects": count, **score(predictor, intensity[:count], objects[:count])}
            print(name, case, record[name][case], flush=True)
    record["milliseconds"] = speed(arguments.checkpoint)
    print(write("cdi_nn_refined", record, arguments.output))


@functools.cache
def drawn(span: float, photons: float) -> tuple[np.ndarray, np.ndarray]:
    """Patterns and true objects."""
    import cdipipe as cdi

    asked = {"size": 32, "count": MOST, "photons": photons, "phase_range_rad": span}
    measurement, truth = cdi.simulate("polygons", seed=SEED, with_truth=True, **asked)
    return measurement.intensity, truth.object


def predictor_of(checkpoint: Path | None, views: int, refine: int):
    from cdipipe.networks.cdi_nn.settings import CdiNnParameters
    from cdipipe.networks.predictor import load_predictor

    chosen = CdiNnParameters(views=views, refine=refine, checkpoint=None if checkpoint is None else str(checkpoint))
    return load_predictor("cdi_nn", chosen, torch.device("cpu"))


def predict(predictor, intensity: np.ndarray) -> np.ndarray:
    counts = torch.from_numpy(intensity)
    with torch.inference_mode():
        return predictor(counts, torch.ones_like(counts, dtype=torch.bool))[0].numpy()


def score(predictor, intensity: np.ndarray, truths: np.ndarray) -> dict:
    """Correlations of objects and of their moduli, at the best twin, phase and shift of a fraction of a pixel."""
    from cdipipe.metrics.align import align_to

    found, shapes = [], []
    for made, truth in zip(predict(predictor, intensity), truths, strict=True):
        aligned = align_to(truth, made, upsample=20)
        found.append(aligned.correlation)
        here, there = np.abs(aligned.object), np.abs(truth)
        shapes.append(np.sum(here * there) / np.sqrt(np.sum(here**2) * np.sum(there**2)))
    numbers = {"complex_correlation": np.mean(found), "complex_correlation_std": np.std(found)}
    numbers |= {"complex_correlation_median": np.median(found), "shape_correlation": np.mean(shapes)}
    numbers |= {"shape_correlation_std": np.std(shapes), "complex_below_0.8": np.mean(np.array(found) < 0.8)}
    return {name: round(float(value), 4) for name, value in numbers.items()}


def speed(checkpoint: Path | None) -> dict:
    import cdipipe as cdi

    intensity = cdi.simulate("polygons", seed=1, size=32, count=64, photons=1e5, phase_range_rad=6.283).intensity
    padded = cdi.simulate("polygons", seed=1, size=64, padded=True, photons=1e5, phase_range_rad=6.283)
    found = {"620 iterations": least(lambda: cdi.reconstruct(padded, SEQUENCE))}
    for name, views, refine in (("network", 1, 0), ("refined", 1, STEPS), ("8 views, refined", 8, STEPS)):
        predictor = predictor_of(checkpoint, views, refine)
        found[f"{name}, one at a time"] = least(lambda p=predictor: predict(p, intensity[:1]))
        found[f"{name}, in batches"] = least(lambda p=predictor: predict(p, intensity[:64])) / 64
    for name in list(found)[1:]:
        found[f"620 iterations over {name}"] = found["620 iterations"] / found[name]
    return {name: round(value, 3) for name, value in found.items()}


def least(work) -> float:
    """Milliseconds of the fastest of several rounds, the first left out."""
    return 1e3 * min([processor_seconds(work)[1] for _ in range(1 + ROUNDS)][1:])


if __name__ == "__main__":
    main()
