"""Missing centre: iterations whose support shrinks to an area, and the area that the free R-factor chooses.

    python benchmarks/masked_area.py masked_area [--count 1] [-o FILE]

The masked measurements of config/shootout.yaml (a square of 4 x 4 pixels at the centre and a tenth of all others are
missing), phased by HIO and ER with the default support and with supports that shrink to shares of the array. What has
the lowest free R-factor is chosen; the truth is only compared with. Results go to masked_area.json.
"""

from __future__ import annotations

import time

import torch
from common import SEQUENCE, Part, run_one

import cdipipe as cdi

MASKS = {"mask": {"central_square_px": 4, "dead_share": 0.1}}
SHARES = (0.02, 0.03, 0.05, 0.08, 0.12)
POLYGONS = {"size": 64, "count": 3}
PARTICLES = {"size": 64, "frames": 4, "particle_diameter_m": 60e-9}
PSEUDO = {"size": 128, "object_size": 32, "count": 3}
SCENES = {
    "weak_1e4": ("polygons", 11, {**POLYGONS, "phase_range_rad": 1.0, "photons": 1e4}),
    "strong_1e4": ("polygons", 12, {**POLYGONS, "phase_range_rad": 6.0, "photons": 1e4}),
    "pseudo_1e4": ("pseudo_objects", 13, {**PSEUDO, "photons": 1e4}),
    "pseudo_1e6": ("pseudo_objects", 13, {**PSEUDO, "photons": 1e6}),
    "volume_1e7": ("polygons", 14, {"size": 32, "dimensions": 3, "phase_range_rad": 2.0, "photons": 1e7}),
    "particles_1e5": ("particles", 17, {**PARTICLES, "photons": 1e5}),
    "particles_1e7": ("particles", 17, {**PARTICLES, "photons": 1e7}),
}
"""Scene, seed and settings as in the study."""


def phase(measurement, truth, **wrap) -> dict:
    """Correlation, free R-factor and processor seconds of one recipe with 4 restarts."""
    began = time.process_time()
    recipe = {"sequence": SEQUENCE, "restarts": 4, **({"shrink_wrap": wrap} if wrap else {})}
    found = cdi.reconstruct(measurement, recipe, seed=1, free_fraction=0.03)
    seconds = time.process_time() - began
    metrics = cdi.evaluate(found, measurement, truth).metrics
    return {
        "correlation": metrics["complex_correlation"],
        "r_factor_free": metrics["r_factor_free"],
        "processor_s": seconds,
    }


def areas(_: int) -> dict:
    """Every scene with the default support and with each share."""
    rows = {}
    for name, (scene, seed, settings) in SCENES.items():
        measurement, truth = cdi.simulate(scene, seed=seed, with_truth=True, detector=MASKS, **settings)
        tried = {"default": phase(measurement, truth)}
        tried |= {str(share): phase(measurement, truth, area=[3 * share, share]) for share in SHARES}
        chosen = min(tried, key=lambda share: tried[share]["r_factor_free"])
        rows[name] = {"tried": tried, "chosen": chosen}
        print(name, tried["default"]["correlation"], chosen, tried[chosen]["correlation"], flush=True)
    return {"restarts": 4, "seed": 1, "scenes": rows}


if __name__ == "__main__":
    torch.set_num_threads(1)
    run_one(__doc__, {"masked_area": Part(areas, "masked_area")})
