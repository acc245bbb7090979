"""3D-CDI-NN: errors of shape and phase on a corpus that no training has seen, beside guesses and iterations.

    cdipipe corpus polygons -o unseen --count 200 --seed 99 --set size=32 --set dimensions=3 --set object_size=20 ...
    python benchmarks/cdi_nn_3d.py unseen                      (crystals: a corpus of scene `crystal`)

errors   mean absolute errors of shape and of phase / 2 pi, as in the training, against an empty volume and phase 0
         everywhere; complex correlation with shift, twin, ramp and phase undone
iterate  the same objects in 64^3, where patterns are oversampled, with 1e8 photons: the network, its result as a start
         of ER and of gradient refinement, 620 iterations of our ER and HIO; errors of shape, size, phase and strain,
         those of the true shape without any phase beside them, and seconds

Results go to benchmarks/results/cdi_nn_3d.json. With ``--study FOLDER`` only the networks of a study that has run are
judged, by what they find laid over the truth, whatever labels each was trained on: cdi_nn_3d_networks.json.
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
from scipy import ndimage, stats

from cdipipe.io.corpus.read import open_corpus
from cdipipe.measurement import Measurement
from cdipipe.methods.cdi_nn_3d import CdiNn3dParameters
from cdipipe.metrics.align import align_to
from cdipipe.networks import cdi_nn_3d
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.predictor import load_predictor
from cdipipe.optics import fourier
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct
from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A

SEQUENCE = "3*(20*ER+180*HIO)+20*ER"
AD_REFINE = {"ad_refine": {"iterations": 150, "dilate_px": 2, "learning_rate": 0.1, "support_every": 10}}
PHOTONS, SHAPE_LEVEL = 1e8, 0.3
SPACING_111_A = LATTICE_CONSTANT_A / np.sqrt(3)


def read(folder: Path, count: int) -> dict[str, torch.Tensor]:
    corpus, parts = open_corpus(folder), []
    for chunk in corpus.chunks:
        parts.append(corpus.read_chunk(*chunk, ("object", "intensity", "measured")))
    return {name: torch.from_numpy(np.concatenate([part[name] for part in parts])[:count]) for name in parts[0]}


@torch.inference_mode()
def measure_errors(predictor, training, arrays) -> dict:
    """Mean absolute errors over all voxels: of shapes, and of phases / 2 pi where the crystals are.

    The place of the peak tells the ramp of the phase. ``zero`` is no phase at all, in a peak that was moved to the
    middle by whole pixels; ``the_peak`` is the ramp of the fraction that is left, and nothing else.
    """
    batch = cdi_nn_3d.prepare(arrays, training, torch.Generator())
    began = time.perf_counter()
    outputs = torch.cat([predictor.module(part).float() for part in batch["inputs"].split(2)])
    seconds = (time.perf_counter() - began) / len(outputs)
    phase, shape = outputs.unbind(1)
    found, _ = predictor(arrays["intensity"], arrays["measured"])
    laid = [align_to(t.numpy(), o.numpy(), ramp=True) for t, o in zip(arrays["object"], found, strict=True)]
    true_phase = batch["phase"] - 0.5
    inside = batch["shape"] > 0
    ramp = torch.angle(batch["ramp"]) / (2 * np.pi) * inside
    return {
        "volumes": len(outputs),
        "seconds_per_volume": seconds,
        "shape_mae": float((shape - batch["shape"]).abs().mean()),
        "shape_mae_of_nothing": float(batch["shape"].mean()),
        "phase_mae": float(((phase - batch["phase"]) * inside).abs().mean()),
        "phase_mae_of_zero": float((true_phase + ramp).abs().mean()),
        "phase_mae_of_the_peak": float(true_phase.abs().mean()),
        "complex_correlation": float(np.mean([item.correlation for item in laid])),
    }


@torch.inference_mode()
def measure_networks(study: Path, arrays) -> dict:
    """Correlation and error of the modulus, over the largest true one, of every network in the study's folder.

    ``wilcoxon_p``: paired with the correlations of the study's first network, ``four_stages``.
    """
    rows, correlations = {}, {}
    for checkpoint in sorted(study.glob("*/best.pt")):
        parameters = CdiNn3dParameters(checkpoint=str(checkpoint))
        predictor = load_predictor("cdi_nn_3d", parameters, torch.device("cpu"))
        judged = []
        for truth, intensity, measured in zip(*(arrays[n] for n in ("object", "intensity", "measured")), strict=True):
            found, _ = predictor(intensity[None], measured[None])
            laid = align_to(truth.numpy(), found[0].numpy(), ramp=True, scale=True)
            error = np.abs(np.abs(laid.object) - np.abs(truth.numpy())).mean() / np.abs(truth.numpy()).max()
            judged.append({"complex_correlation": laid.correlation, "modulus_mae": float(error)})
        name = checkpoint.parent.name
        rows[name] = summarise(judged)
        correlations[name] = np.array([row["complex_correlation"] for row in judged])
        print(name, rows[name], flush=True)
    first = correlations["four_stages"]
    for name, others in correlations.items():
        if name != "four_stages":
            rows[name]["wilcoxon_p"] = float(stats.wilcoxon(others, first).pvalue)
    return rows


def measure_iterate(arrays, count: int, checkpoint: str | None, voxel_a: float) -> dict:
    """Every way on ``count`` crystals in a volume twice as wide, and a crystal of the true shape without any phase."""
    network = {"cdi_nn_3d": {"checkpoint": checkpoint}}
    recipes = {
        "cdi_nn_3d": {"steps": [network]},
        "er_hio_620": {"sequence": SEQUENCE},
        "cdi_nn_3d_then_er_60": {"steps": [network, {"er": {"iterations": 60}}]},
        "cdi_nn_3d_then_ad_refine": {"steps": [network, AD_REFINE]},
    }
    rows = {name: [] for name in ("true_shape_phase_zero", *recipes)}
    for number, object_ in enumerate(arrays["object"][:count].numpy()):
        size = object_.shape[0]
        wide = np.zeros((2 * size,) * 3, np.complex64)
        wide[(slice(size // 2, size // 2 + size),) * 3] = object_
        wide *= np.sqrt(PHOTONS / np.sum(np.abs(wide) ** 2))
        mean = fourier.forward(torch.from_numpy(wide), 3).abs().square().numpy()
        intensity = np.random.default_rng(number).poisson(mean).astype(np.float32)
        measurement = Measurement(intensity, np.ones(intensity.shape, bool), "volume")
        rows["true_shape_phase_zero"].append(judge(wide, np.abs(wide).astype(np.complex64), voxel_a))
        for name, recipe in recipes.items():
            result = reconstruct(measurement, recipe_from_mapping(recipe), seed=1)
            row = judge(wide, result.object, voxel_a)
            rows[name].append({**row, "r_factor": float(result.run_scores["r_factor"][0]), "seconds": result.seconds})
        if number % 20 == 19:
            print(number + 1, {name: summarise(found) for name, found in rows.items()}, flush=True)
    means = {name: summarise(found) for name, found in rows.items()}
    return {"volumes": count, "photons": PHOTONS, "load": os.getloadavg()[0], "ad_refine": AD_REFINE, **means}


def summarise(rows: list[dict]) -> dict:
    """Mean of every number, its standard deviation beside it."""
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    return {name: float(v.mean()) for name, v in columns.items()} | {
        f"{name}_std": float(v.std()) for name, v in columns.items()
    }


def judge(truth: np.ndarray, found: np.ndarray, voxel_a: float) -> dict[str, float]:
    """Errors of an object laid over the truth; phases and strain where the true crystal is.

    ``shape_mae`` is the mean over the inner half of the volume of the difference of moduli over the largest true one,
    ``size_ratio`` that of the voxels above 0.3 of it, ``strain_mae`` of (d / 2 pi) n . grad(phase), d and n of (111).
    """
    laid_over = align_to(truth, found, ramp=True, scale=True)
    laid, inner = laid_over.object, tuple(slice(n // 4, n - n // 4) for n in truth.shape)
    truth, laid = truth[inner], laid[inner]
    peak = np.abs(truth).max()
    inside = np.abs(truth) > SHAPE_LEVEL * peak
    difference = np.angle(laid * np.conj(truth))[inside]
    deep = ndimage.binary_erosion(inside, iterations=2)
    strain = [strain_111(volume, voxel_a)[deep] for volume in (truth, laid)]
    error = strain[1] - strain[0]
    return {
        "complex_correlation": laid_over.correlation,
        "shape_mae": float(np.mean(np.abs(np.abs(laid) - np.abs(truth))) / peak),
        "phase_mae_rad": float(np.mean(np.abs(difference))),
        "size_ratio": float((np.abs(laid) > SHAPE_LEVEL * peak).sum() / inside.sum()),
        "strain_mae": float(np.mean(np.abs(error - error.mean()))),
    }


def strain_111(volume: np.ndarray, voxel_a: float) -> np.ndarray:
    """Strain along (111) from the phase, by central differences of its phasor; homogeneous strain is a ramp."""
    slopes = [np.angle(np.roll(volume, -1, axis) * np.conj(np.roll(volume, 1, axis))) / 2 for axis in range(3)]
    return SPACING_111_A / (2 * np.pi) * sum(slopes) / np.sqrt(3) / voxel_a


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--checkpoint", help="default: the weights of the package")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--iterate", type=int, default=4, help="volumes for the comparison with iterations")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--study", type=Path, help="output folder of config/papers/cdi_nn_3d.yaml")
    arguments = parser.parse_args()
    arrays = read(arguments.corpus, arguments.count)
    plan = open_corpus(arguments.corpus).plan
    result = {"corpus": {"kind": plan.kind, "seed": plan.seed, "parameters": plan.parameters}}
    if arguments.study:
        result |= {"volumes": len(arrays["object"]), "networks": measure_networks(arguments.study, arrays)}
        print(record.write("cdi_nn_3d_networks", result, arguments.output))
        return
    parameters = CdiNn3dParameters(checkpoint=arguments.checkpoint)
    predictor = load_predictor("cdi_nn_3d", parameters, torch.device("cpu"))
    training = read_checkpoint(arguments.checkpoint or cdi_nn_3d.NETWORK.weights).settings
    result["errors"] = measure_errors(predictor, training, arrays)
    print(result["errors"], flush=True)
    voxel_a = LATTICE_CONSTANT_A * (plan.parameters.get("voxel_cells") or 1)
    result["iterate"] = measure_iterate(arrays, arguments.iterate, arguments.checkpoint, voxel_a)
    print(result["iterate"], record.write("cdi_nn_3d", result, arguments.output))


if __name__ == "__main__":
    main()
