"""3D-CDI-NN: errors of shape and phase on a corpus that no training has seen, beside guesses and iterations.

    cdipipe corpus polygons -o unseen --count 200 --seed 99 --set size=32 --set dimensions=3 --set object_size=20 ...
    python benchmarks/cdi_nn_3d.py unseen                      (crystals: a corpus of scene `crystal`)

errors   mean absolute errors of shape and of phase / 2 pi, as in the training, against an empty volume and phase 0
         everywhere; complex correlation with shift, twin, ramp and phase undone
iterate  the same objects in 64^3, where patterns are oversampled: 620 iterations of our ER and HIO, seconds of each,
         and the network's own result as a start

Results go to benchmarks/results/cdi_nn_3d.json.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import record
import torch

from cdipipe.io.corpus_read import open_corpus
from cdipipe.measurement import Measurement
from cdipipe.methods.cdi_nn_3d import CdiNn3dParameters
from cdipipe.methods.driver.reconstruct import reconstruct
from cdipipe.methods.recipe import recipe_from_mapping
from cdipipe.metrics.align import align_to
from cdipipe.networks import cdi_nn_3d
from cdipipe.networks.predictor import load_predictor
from cdipipe.optics import fourier

SEQUENCE = "3*(20*ER+180*HIO)+20*ER"


def read(folder: Path, count: int) -> dict[str, torch.Tensor]:
    corpus, parts = open_corpus(folder), []
    for chunk in corpus.chunks:
        parts.append(corpus.read_chunk(*chunk, ("object", "intensity", "measured")))
    return {name: torch.from_numpy(np.concatenate([part[name] for part in parts])[:count]) for name in parts[0]}


@torch.inference_mode()
def measure_errors(predictor, arrays) -> dict:
    batch = cdi_nn_3d.prepare(arrays, cdi_nn_3d.CdiNn3dSettings(network=predictor.settings), torch.Generator())
    began = time.perf_counter()
    outputs = torch.cat([predictor.module(part).float() for part in batch["inputs"].split(2)])
    seconds = (time.perf_counter() - began) / len(outputs)
    phase, shape = outputs.unbind(1)
    found, _ = predictor(arrays["intensity"], arrays["measured"])
    laid = [align_to(t.numpy(), o.numpy(), ramp=True) for t, o in zip(arrays["object"], found, strict=True)]
    return {
        "volumes": len(outputs),
        "seconds_per_volume": seconds,
        "shape_mae": float((shape - batch["shape"]).abs().mean()),
        "shape_mae_of_nothing": float(batch["shape"].mean()),
        "phase_mae": float((phase - batch["phase"]).abs().mean()),
        "phase_mae_of_zero": float((batch["phase"] - 0.5).abs().mean()),
        "complex_correlation": float(np.mean([item.correlation for item in laid])),
    }


def measure_iterate(arrays, count: int, checkpoint: str | None) -> dict:
    network = {"cdi_nn_3d": {"checkpoint": checkpoint}}
    recipes = {
        "cdi_nn_3d": {"steps": [network]},
        "er_hio_620": {"sequence": SEQUENCE},
        "cdi_nn_3d_then_er_60": {"steps": [network, {"er": {"iterations": 60}}]},
    }
    rows = {name: [] for name in recipes}
    for object_ in arrays["object"][:count].numpy():
        size = object_.shape[0]
        wide = np.zeros((2 * size,) * 3, np.complex64)
        wide[(slice(size // 2, size // 2 + size),) * 3] = object_
        intensity = fourier.forward(torch.from_numpy(wide), 3).abs().square().numpy()
        measurement = Measurement(intensity, np.ones(intensity.shape, bool), "volume")
        for name, recipe in recipes.items():
            result = reconstruct(measurement, recipe_from_mapping(recipe), seed=1)
            correlation = align_to(wide, result.object, ramp=True).correlation
            rows[name].append((correlation, result.run_scores["r_factor"][0], result.seconds))
    names = ("complex_correlation", "r_factor", "seconds")
    means = {name: dict(zip(names, np.mean(row, 0).tolist(), strict=True)) for name, row in rows.items()}
    return {"volumes": count, "load": os.getloadavg()[0], **means}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--checkpoint", help="default: the weights of the package")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--iterate", type=int, default=4, help="volumes for the comparison with iterations")
    parser.add_argument("-o", "--output", type=Path)
    arguments = parser.parse_args()
    parameters = CdiNn3dParameters(checkpoint=arguments.checkpoint)
    predictor = load_predictor("cdi_nn_3d", parameters, torch.device("cpu"))
    arrays = read(arguments.corpus, arguments.count)
    plan = open_corpus(arguments.corpus).plan
    result = {"corpus": {"kind": plan.kind, "seed": plan.seed, "parameters": plan.parameters}}
    result["errors"] = measure_errors(predictor, arrays)
    print(result["errors"], flush=True)
    result["iterate"] = measure_iterate(arrays, arguments.iterate, arguments.checkpoint)
    print(result["iterate"], record.write("cdi_nn_3d", result, arguments.output))


if __name__ == "__main__":
    main()
