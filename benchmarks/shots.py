"""Whether shots are sorted well: stacks of 2,000 with 200 blanks, 300 weak and 100 double hits, over scenes and seeds.

    cdipipe bench shots

Recorded for each scene and seed: the area under the ROC curve of the score, single hits against all others, and what
each kind was taken for. ``evaluate`` is the processor time of the command on 2,000 shots with their truth.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
from common import run_all

COUNT, SEEDS = 2000, (1, 2)
SHOTS = {"blank": 0.1, "weak": 0.15, "double": 0.05, "brightness_spread": 0.5}
MASK = {"beamstop_px": 4, "module_px": [40, 40], "gap_px": [3, 3], "dead_share": 0.01}
SCENES = {
    "polygons of 16 px": ("polygons", {"size": 64, "photons": 1e5}, {"background_photons": 0.02}),
    "polygons of 28 px": ("polygons", {"size": 64, "object_size": 28, "photons": 1e5}, {"background_photons": 0.02}),
    "polygons of 32 px in 128": ("polygons", {"size": 128, "photons": 1e5}, {"background_photons": 0.02}),
    "few photons": ("polygons", {"size": 64, "photons": 2e4}, {"background_photons": 0.1}),
    "beam stop": ("polygons", {"size": 96, "photons": 3e5}, {"background_photons": 0.02, "mask": {"beamstop_px": 3}}),
    "beam stop, gaps, dead pixels, read noise": (
        "polygons",
        {"size": 96, "photons": 1e5},
        {"background_photons": 0.05, "read_noise_photons": 0.3, "mask": MASK},
    ),
    "pseudo-objects": ("pseudo_objects", {"size": 64, "photons": 1e5}, {"background_photons": 0.02}),
    "pseudo-objects with phase": (
        "pseudo_objects",
        {"size": 128, "object_size": 32, "phase_range_rad": 2, "photons": 2e5},
        {"background_photons": 0.02},
    ),
}


def stack(scene: str, seed: int):
    """Measurement, and the true kind of each shot."""
    from cdipipe.settings import validate
    from cdipipe.simulation.exposure import simulate
    from cdipipe.simulation.registry import get_scene

    name, settings, detector = SCENES[scene]
    found = get_scene(name)
    parameters = validate(found.parameters, {**settings, "detector": detector, "shots": SHOTS, "count": COUNT}, name)
    measurement, truth = simulate(found, parameters, seed)
    return measurement, np.array(truth.extra["shot"])


def area_under_roc(score: np.ndarray, good: np.ndarray) -> float:
    """Chance that a good shot has the greater score, ties half."""
    from scipy.stats import rankdata

    ranks, count = rankdata(score), int(good.sum())
    return float((ranks[good].sum() - count * (count + 1) / 2) / (count * (len(score) - count)))


def sort(scene: str) -> dict:
    """One scene over the seeds."""
    from common import processor_seconds

    from cdipipe.metrics.hits import find_hits

    areas, of_kinds, taken, seconds = [], {}, Counter(), []
    for seed in SEEDS:
        measurement, kinds = stack(scene, seed)
        hits, spent = processor_seconds(lambda found=measurement: find_hits(found))
        seconds.append(spent)
        areas.append(round(area_under_roc(hits.score, kinds == "single"), 4))
        for kind in ("blank", "weak", "double"):
            part = (kinds == "single") | (kinds == kind)
            of_kinds.setdefault(kind, []).append(round(area_under_roc(hits.score[part], kinds[part] == "single"), 4))
        taken.update(f"{true} as {found}" for true, found in zip(kinds, hits.kind, strict=True))
    return {
        "area": areas,
        "area_of": of_kinds,
        "taken": dict(sorted(taken.items())),
        "processor_seconds": round(float(np.median(seconds)), 2),
    }


def evaluate() -> dict:
    """Processor seconds of the command on 2,000 shots of 128 x 128, threads as they are by default."""
    from dataclasses import replace

    from cdipipe.io.cxi import write_measurement, write_reconstruction, write_truth
    from cdipipe.measurement import Reconstruction
    from cdipipe.settings import validate
    from cdipipe.simulation.exposure import simulate
    from cdipipe.simulation.registry import get_scene

    scene = get_scene("polygons")
    settings = {"size": 128, "photons": 1e5, "count": COUNT}
    measurement, truth = simulate(scene, validate(scene.parameters, settings, scene.name), 1)
    noise = np.random.default_rng(0).normal(size=truth.object.shape).astype(np.float32)
    spoilt = np.roll(truth.object * (1 + 0.2 * noise), (3, -5), (1, 2))
    result = replace(Reconstruction(spoilt, truth.support, "shots"), method="truth, spoilt")
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        m, t, r = (Path(folder) / f"{name}.cxi" for name in "MTR")
        write_measurement(m, measurement), write_truth(t, truth), write_reconstruction(r, result)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, "-m", "cdipipe.cli.main", "evaluate", r, "--measurement", m, "--truth", t]
        subprocess.run([*command, "-o", Path(folder) / "m.json"], check=True, env=environment, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"shots": COUNT, "size": 128, "processor_seconds": round(spent, 1)}


PARTS = {**{scene: lambda name=scene: sort(name) for scene in SCENES}, "evaluate": evaluate}

if __name__ == "__main__":
    run_all(__doc__, "shots", PARTS)
