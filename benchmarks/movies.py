"""Two comparisons of movies that no study can make: one needs ptychography, one many draws of the same frames' noise.

    python benchmarks/movies.py siemens
        measured single shots of a Siemens star, put in order along a short path; probe modes and truth by ptychography
        of the whole scan (needs CDIPIPE_DATA_DIR)
    python benchmarks/movies.py prtf
        phase retrieval transfer of five frames, each of 20 draws of noise phased with another seed

All else about movies is config/studies/movies.yaml. Seconds are those of the processor; run it with OMP_NUM_THREADS=1.
Results go to movies_siemens.json and movies_prtf.json.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ptychography
from common import Part, processor_seconds, run_one

import cdipipe as cdi
from cdipipe.measurement import Measurement, Truth
from cdipipe.metrics import fourier

OFF_CENTRE_PX = (0, 70)
"""Where the measured frames begin, from the scan's middle: among the spokes."""
METHODS = {
    "cdip": {"method": "cdip", "iterations": 150},
    "mf_pie": {"method": "mf_pie", "iterations": 60},
    "mf_pie_single": {"method": "mf_pie", "iterations": 60, "neighbours": 0},
}
SMOOTH = {"movie": {"time_cells": 0.2}}
"""Of cdip: a chart on a stage moves smoothly, so a time cell may last five frames."""
SCENES = {
    "chart": ("test_chart", {"spokes": 12, "start_offset": 0.1}, SMOOTH),
    "particles": ("particles", {"illumination": "probe"}, {}),
}
MOVIE_SEED, PHOTONS, PRTF_FRAMES = 21, 3e7, 5


def siemens(frames: int) -> dict:
    """Metrics of every method on the measured frames."""
    measurement, truth = siemens_movie(frames)
    found = {}
    for name, recipe in METHODS.items():
        result, seconds = processor_seconds(lambda r=recipe: cdi.reconstruct(measurement, r))
        judged = cdi.evaluate(result, measurement, truth)
        found[name] = {"settings": recipe, "processor_seconds": seconds, **judged.metrics}
        found[name]["lowest_correlation"] = float(judged.curves["movie_field_phase_correlation"].min())
        print(name, found[name], flush=True)
    return {"frames": frames, **measurement.provenance, **found}


def siemens_movie(frames: int) -> tuple[Measurement, Truth]:
    """Frames of the measured scan, each nearest to the one before among those not taken yet."""
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
    movie = Measurement(counts, measured, "movie", probe_modes=solved.modes, provenance=note)
    objects = np.stack([solved.around(places[index]) for index in order])
    return movie, Truth(objects, np.ones(objects.shape, bool), "movie")


def prtf(draws: int) -> dict:
    """How well runs on other photons of the same frames agree on the phases of the wavefront, against frequency."""
    found = {}
    for case, (scene, settings, of_cdip) in SCENES.items():
        shown = {"size": 128, "frames": PRTF_FRAMES, "photons": 0, **settings}
        clean, truth = cdi.simulate(scene, seed=MOVIE_SEED, with_truth=True, **shown)
        modes = clean.probe_modes * np.sqrt(PHOTONS * PRTF_FRAMES / clean.intensity.sum())
        mean = np.stack([np.abs(_wavefronts(frame, modes)) ** 2 for frame in truth.object]).sum(1)
        for name, changed in (("cdip", of_cdip), ("mf_pie", {})):
            recipe = METHODS[name] | changed
            waves = [_waves_of_draw(replace(clean, probe_modes=modes), mean, recipe, draw) for draw in range(draws)]
            found[f"prtf_{case}/{name}"] = {"settings": recipe, **_transfer(waves, mean, clean.measured)}
            print(case, name, found[f"prtf_{case}/{name}"]["full_period_px"], flush=True)
    return {"frames": PRTF_FRAMES, "draws": draws, **found}


def _waves_of_draw(clean: Measurement, mean: np.ndarray, recipe: dict, draw: int) -> list[np.ndarray]:
    """Wavefronts of every frame as found from one draw of the noise."""
    counts = np.random.default_rng(draw).poisson(mean).astype(np.float32)
    objects = cdi.reconstruct(replace(clean, intensity=counts), recipe, seed=draw).object
    return [_wavefronts(_turned(frame, clean.probe_modes), clean.probe_modes) for frame in objects]


def _transfer(waves: list[list[np.ndarray]], mean: np.ndarray, measured: np.ndarray) -> dict:
    """Mean curve over the frames, smoothed over three rings, and where it falls below 1/e."""
    curves = [
        fourier.phase_retrieval_transfer(np.array([wave[frame] for wave in waves]), mean[frame], measured)
        for frame in range(PRTF_FRAMES)
    ]
    curve = fourier.smooth_rings(np.nanmean(curves, 0))
    frequencies = fourier.ring_frequencies(measured.shape)
    period = fourier.resolution_px(frequencies, curve, 1 / np.e)
    return {"curve": np.round(curve, 4).tolist(), "frequency": frequencies.tolist(), "full_period_px": period or 2.0}


def _wavefronts(object_: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """Wavefront of every mode, (M, H, W), centred, orthonormal."""
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(object_ * modes, (-2, -1)), norm="ortho"), (-2, -1))


def _turned(object_: np.ndarray, modes: np.ndarray) -> np.ndarray:
    """A transmission whose mean phase in the light is zero: that of all of it is not known."""
    mean = (object_ * (np.abs(modes) ** 2).sum(0)).sum()
    return object_ * np.conj(mean) / max(abs(mean), 1e-30)


if __name__ == "__main__":
    run_one(__doc__, {"siemens": Part(siemens, "movies_siemens", 24), "prtf": Part(prtf, "movies_prtf", 20)})
