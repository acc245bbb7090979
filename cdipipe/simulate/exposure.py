"""From a scene to what a detector would count: draw the samples, scale them to photons, transform, add noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.measurement import Measurement, Truth
from cdipipe.simulate.registry import Sample, Scene, SceneParameters

BYTES_PER_PIXEL = 2 * (4 + 8 + 1)
"""Counts, object and support of all patterns, held twice while they are put together."""
WORKING_BYTES_PER_PIXEL = 64
"""Double-precision arrays while one pattern is made."""


def simulate(scene: Scene, parameters: SceneParameters, seed: int = 0, progress=None) -> tuple[Measurement, Truth]:
    """Measurement and truth of a scene.

    Sample ``i`` depends on the parameters, the seed and ``i`` only, not on how many are drawn; its object does not
    depend on ``photons``, but for the scale.

    Parameters
    ----------
    scene, parameters : from ``cdipipe.simulate.registry``
    seed : int >= 0
    progress : callable that wraps an iterable, optional

    Returns
    -------
    Measurement
        Photons; noise-free intensity of the unscaled object when ``photons`` is 0.
    Truth
        complex64 object whose sum |u|^2 is ``photons``

    Raises
    ------
    InputError   the arrays do not fit into memory
    """
    count = getattr(parameters, "count", 1)
    _check_memory(scene, parameters, count)
    indices = range(count) if progress is None else progress(range(count))
    pairs = [_expose_sample(scene, parameters, seed, index) for index in indices]
    provenance: dict[str, Any] = {"scene": scene.name, "parameters": parameters.model_dump(), "seed": seed}
    first = pairs[0][0]
    measured = ~first.unmeasured if first.unmeasured is not None else np.ones(pairs[0][1].shape[-_rank(first) :], bool)
    join = np.stack if count > 1 else (lambda arrays: arrays[0])
    stack = "shots" if count > 1 else first.stack
    intensity = join([intensity for _, intensity in pairs])
    intensity[..., ~measured] = 0
    truth = Truth(join([s.object for s, _ in pairs]), join([s.support for s, _ in pairs]), stack, provenance=provenance)
    return Measurement(intensity, measured, stack, provenance=provenance), truth


def _check_memory(scene: Scene, parameters: SceneParameters, count: int) -> None:
    pixels = parameters.size ** getattr(parameters, "dimensions", 2) * getattr(parameters, "frames", 1)
    need, limit = pixels * (count * BYTES_PER_PIXEL + WORKING_BYTES_PER_PIXEL), memory_limit_bytes()
    if need > limit:
        raise InputError(
            f"scene {scene.name}: {count} x {pixels} pixels need {need / 2**30:.3g} GiB, the limit is "
            f"{limit / 2**30:.3g} GiB (CDIPIPE_MAX_GIB); take a smaller size or count"
        )


def _rank(sample: Sample) -> int:
    return 3 if sample.stack == "volume" else 2


def _expose_sample(scene: Scene, parameters: SceneParameters, seed: int, index: int) -> tuple[Sample, np.ndarray]:
    """Sample with its object on the photon scale, and its counts (float32)."""
    from cdipipe.optics.noise import poisson

    object_stream, noise_stream = np.random.SeedSequence([seed, index]).spawn(2)
    sample = scene.build(parameters, np.random.default_rng(object_stream))
    exit_wave = np.asarray(sample.object, np.complex128)
    if parameters.photons > 0:
        patterns = exit_wave.shape[0] if sample.stack == "movie" else 1
        exit_wave = exit_wave * np.sqrt(parameters.photons * patterns / np.sum(np.abs(exit_wave) ** 2))
    intensity = diffract(exit_wave, _rank(sample))
    if parameters.photons > 0:
        intensity = poisson(intensity, np.random.default_rng(noise_stream))
    scaled = Sample(exit_wave.astype(np.complex64), sample.support, sample.stack, sample.unmeasured)
    return scaled, intensity.astype(np.float32)


def diffract(exit_wave: np.ndarray, ndim: int) -> np.ndarray:
    """Far-field intensity |F u|^2 over the last ``ndim`` axes; orthonormal, both sides centred."""
    import torch

    from cdipipe.optics import fourier

    return fourier.forward(torch.from_numpy(np.ascontiguousarray(exit_wave)), ndim).abs().square().numpy()
