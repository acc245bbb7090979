"""The measured gold crystal by the network, by network and refinement, and by iterations: misfits, seconds, likeness.

    cdipipe import S54_counts_201x256x256_int32.npz --whitefield whitefield.tif --stack volume --threshold 2 \
        --crop 64,64,64 -o gold.cxi
    python benchmarks/gold_network.py gold.cxi --figure gold.png

``likeness`` is the correlation with the object of the iterations, shift, twin, phase and ramp undone: nobody knows the
truth. Results go to benchmarks/results/gold_network.json.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import record

from cdipipe.io.cxi import read_measurement
from cdipipe.metrics.align import align_to
from cdipipe.metrics.statistics import correlation_matrix
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct

AD_REFINE = {"ad_refine": {"iterations": 150, "dilate_px": 2, "learning_rate": 0.1, "support_every": 10}}
ITERATIONS = {"sequence": "3*(20*ER+180*HIO)+20*ER", "shrink_wrap": {"every": 20, "threshold": 0.1}}


def measure(measurement, checkpoint: str | None, restarts: int) -> tuple[dict, dict]:
    """Numbers and reconstructions of each way."""
    network = {"cdi_nn_3d": {"checkpoint": checkpoint}}
    recipes = {
        "er_hio_620": ITERATIONS,
        "cdi_nn_3d": {"steps": [network]},
        "cdi_nn_3d_then_ad_refine": {"steps": [network, AD_REFINE]},
        "cdi_nn_3d_then_er_60": {"steps": [network, {"er": {"iterations": 60}}]},
    }
    found = {}
    for name, recipe in recipes.items():
        several = {"restarts": restarts} if name == "er_hio_620" else {}
        found[name] = reconstruct(measurement, recipe_from_mapping(recipe | several), seed=1)
    reference, numbers = found["er_hio_620"].object, {}
    for name, result in found.items():
        laid = align_to(reference, result.object, ramp=True).object
        likeness = float(correlation_matrix(np.stack([reference, laid]))[0, 1]) if name != "er_hio_620" else 1.0
        scores = {"r_factor": float(result.run_scores["r_factor"][0]), "seconds": float(result.seconds)}
        numbers[name] = scores | {"likeness": likeness, "support_voxels": int(result.support.sum())}
        print(name, numbers[name], flush=True)
    return numbers | {"restarts": restarts, "load": os.getloadavg()[0]}, found


def draw(found: dict, path: Path) -> None:
    """Middle planes of all objects, laid over that of the iterations."""
    from cdipipe.figures import canvas, comparison_figure

    canvas.save_figure(comparison_figure(list(found.items()), None), path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measurement", type=Path)
    parser.add_argument("--checkpoint", help="default: the weights of the package")
    parser.add_argument("--restarts", type=int, default=1)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    measurement = read_measurement(arguments.measurement)
    numbers, found = measure(measurement, arguments.checkpoint, arguments.restarts)
    shape = list(measurement.intensity.shape)
    print(record.write("gold_network", {"shape": shape, **numbers}, arguments.output))
    if arguments.figure:
        draw(found, arguments.figure)


if __name__ == "__main__":
    main()
