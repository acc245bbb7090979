"""What it costs at least to estimate a static region beside the sample instead of knowing it: the Cramer-Rao bound.

    python benchmarks/static_bound.py static_region [--count 10] [-o FILE]

The mean variance of the sample in least squares with and without the static structure among the unknowns, linearised at
the truth, for samples of the scene ``static_region`` at 1 and 1000 photons per detector pixel; in dB of PSNR. No
estimator without a prior loses less. config/studies/static_unknown.yaml measures what methods lose. Results go to
static_bound.json.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from common import Part, run_one

import cdipipe as cdi
from cdipipe.methods.static_estimate.joint import Estimate, Joint
from cdipipe.optics import fourier
from cdipipe.phasing.least_squares import conjugate_gradients, energy
from cdipipe.phasing.problem import Problem

SEED, NOISE_DRAWS, CG_ITERATIONS = 11, 4, 60


def bound_db(known, truth) -> float:
    """Loss of least squares on noise alone, by random noise.

    Parameters
    ----------
    known : Measurement of one pattern with its static region
    """
    problem = Problem(replace(known, static_region=None), "real_nonneg", (-np.pi, np.pi), use_static_region=False)
    static = problem.static_support
    supports = (problem.object_support & ~static)[None]
    structure, sample = (fourier.to_corner(torch.from_numpy(a), 2) for a in (known.static_region, truth))
    there = Estimate(structure.to(torch.complex128), sample.to(torch.complex128)[None])
    models = [Joint([problem], there, free, supports, True) for free in (static, torch.zeros_like(static))]
    generator, spent = torch.Generator().manual_seed(5), np.zeros(2)
    zero = torch.zeros(2, *static.shape)
    for _ in range(NOISE_DRAWS):
        noise = torch.randn(supports.shape, generator=generator)
        spent += [float(energy(conjugate_gradients(model, noise, zero, CG_ITERATIONS)[1:])) for model in models]
    return float(10 * np.log10(spent[0] / spent[1]))


def bounds(count: int) -> dict:
    """Of ``count`` samples at each dose."""
    found = {}
    for photons in (1.0, 1000.0):
        settings = {"size": 256, "count": count, "sample_photons_per_pixel": photons}
        shots, truth = cdi.simulate("static_region", seed=SEED, with_truth=True, **settings)
        objects = truth.object.reshape(count, *shots.pattern_shape)
        values = [bound_db(shots.pattern(index), objects[index]) for index in range(count)]
        found[f"{photons:g}"] = {"median": float(np.median(values)), "largest": max(values), "of_samples": values}
        print(photons, found[f"{photons:g}"], flush=True)
    return {"samples": count, "bound_db": found}


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_one(__doc__, {"static_region": Part(bounds, "static_bound", 10)})
