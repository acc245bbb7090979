"""On which objects CDI NN fails, and what iterations make of the very same ones.

    python benchmarks/failures.py

Polygons with a phase of 0 to 2 pi peak to peak, 1e6 photons. The network sees their 32 x 32 patterns, which are not
oversampled; iterations those of the same objects in the middle of 64 x 64. Means over the objects of least, middle and
largest size, phase range and number of jumps of the phase, and rank correlations. ``--count`` says how many objects.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from common import SEQUENCE, kept, parser_of, processor_seconds, write

METHODS = {
    "network": {"method": "cdi_nn"},
    "network, 8 views": {"method": "cdi_nn", "views": 8},
    "network, refine": {"method": "cdi_nn", "refine": 75},
    "network, 8 views, refine": {"method": "cdi_nn", "views": 8, "refine": 75},
    "620 iterations": {"sequence": SEQUENCE},
    "620 iterations, best of 5": {"sequence": SEQUENCE, "restarts": 5},
    "guided": {"method": "guided"},
}
FEW = {"guided": 40}
"""Methods that see the first objects only, as they take long; the means of the others over these are told beside."""
SEED = 1000004
HANGS_ON = ("support_px", "phase_range_rad", "phase_wraps")


def objects(padded: bool, count: int):
    import cdipipe as cdi

    size = {"size": 64, "padded": True} if padded else {"size": 32}
    return cdi.simulate(
        "polygons", seed=SEED, with_truth=True, photons=1e6, phase_range_rad="random", count=count, **size
    )


def judged(name: str, count: int) -> dict:
    """Correlation of each object, what it may hang on, and processor seconds of a pattern."""
    import cdipipe as cdi
    from cdipipe.metrics.many import judge_object

    measurement, truth = objects(not name.startswith("network"), count)
    result, seconds = processor_seconds(lambda: cdi.reconstruct(measurement, METHODS[name], seed=1))
    rows = []
    for index in range(count):
        there = truth.object[index]
        numbers, _ = judge_object(result.object[index], there, measurement.intensity[index], measurement.measured)
        inside = np.abs(there) > 0
        own = {"support_px": int(inside.sum()), "phase_range_rad": float(np.ptp(np.angle(there[inside])))}
        rows.append({**own, **{name: float(f"{value:.5g}") for name, value in numbers.items()}})
    return {"seconds": seconds / count, "rows": rows}


def summary(rows: list[dict]) -> dict:
    """Means over all objects and over those of each third of what they may hang on, with rank correlations."""
    from cdipipe.uncertainty.judge import rank_correlation

    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    score = columns["complex_correlation"]
    found = {name: round(float(columns[name].mean()), 4) for name in ("complex_correlation", "shape_correlation")}
    found |= {"std": round(float(score.std()), 4), "below_0.9": round(float(np.mean(score < 0.9)), 3)}
    for name in HANGS_ON:
        middle = [1, 1 + np.median(columns[name][columns[name] > 0])]  # many objects have no jumps
        edges = middle if name == "phase_wraps" else np.quantile(columns[name], (1 / 3, 2 / 3))
        edges = [round(float(edge), 2) for edge in edges]
        which = np.digitize(columns[name], edges)
        means = [round(float(score[which == i].mean()), 4) if (which == i).any() else None for i in range(3)]
        found[name] = {
            "edges": edges,
            "objects": np.bincount(which, minlength=3).tolist(),
            "complex_correlation": means,
            "rank_correlation": round(rank_correlation(columns[name], score), 3),
        }
    return found


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--pieces", type=Path, help="folder that keeps what each method gave")
    arguments = parser.parse_args()
    record, rows = {"count": arguments.count, "seed": SEED, "methods": METHODS}, {}
    for name in METHODS:
        file = arguments.pieces and arguments.pieces / f"{name}.json"
        count = min(arguments.count, FEW.get(name, arguments.count))
        found = kept(file, lambda name=name, count=count: judged(name, count))
        rows[name] = found["rows"]
        record[name] = {"objects": count, "seconds": round(found["seconds"], 4), **summary(found["rows"])}
        if count < arguments.count:
            record[name]["same_objects"] = {other: summary(own[:count]) for other, own in rows.items()}
        print(name, record[name], flush=True)
    print(write("cdi_nn_failures", record, arguments.output))


if __name__ == "__main__":
    main()
