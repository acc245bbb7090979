"""From a scene to what a detector would count: draw the samples, scale them to photons, transform, add noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.measurement import Measurement, Truth
from cdipipe.simulation import detection
from cdipipe.simulation.registry import Sample, Scene, SceneParameters

BYTES_PER_PIXEL = 2 * (4 + 8 + 1)
"""Counts, object and support of all patterns, held twice while they are put together."""
WORKING_BYTES_PER_PIXEL = 64
"""Double-precision arrays while one pattern is made."""


@dataclass(frozen=True)
class Exposure:
    """One sample and what the detector counted of it.

    Parameters
    ----------
    sample : Sample
        On the scale of the photons: complex64 object, static region and probe modes (these with the Fresnel chirp).
    intensity : (H, W), (D, H, W) or (T, H, W) float32, photons; 0 where not measured
    measured : bool, shape of one pattern, or of ``intensity`` where the frames of a movie differ
    """

    sample: Sample
    intensity: np.ndarray
    measured: np.ndarray


def simulate(scene: Scene, parameters: SceneParameters, seed: int = 0, progress=None) -> tuple[Measurement, Truth]:
    """Measurement and truth of a scene.

    Sample ``i`` depends on the parameters, the seed and ``i`` only, not on how many are drawn; its object does not
    depend on ``photons``, but for the scale.

    Parameters
    ----------
    scene, parameters : from ``cdipipe.simulation.registry``
    seed : int >= 0
    progress : callable that wraps an iterable, optional

    Returns
    -------
    Measurement
        Photons; noise-free intensity of the unscaled object when ``photons`` is 0.
    Truth
        complex64 object; its sum |u|^2 is ``photons`` where it is alone, in a plane wave, scaled by ``photons``

    Raises
    ------
    InputError   the arrays do not fit into memory
    """
    count = getattr(parameters, "count", 1)
    _check_memory(scene, parameters, count)
    indices = range(count) if progress is None else progress(range(count))
    exposures = [expose_sample(scene, parameters, seed, index) for index in indices]
    provenance: dict[str, Any] = {"scene": scene.name, "parameters": parameters.model_dump(), "seed": seed}
    first = exposures[0].sample
    extra = _joined_extra([e.sample.extra or {} for e in exposures])
    if scene.open_extra:
        provenance["light"] = {name: extra[name] for name in scene.open_extra}
    stack = "shots" if count > 1 else first.stack
    measurement = Measurement(
        _joined([e.intensity for e in exposures]),
        _joined([e.measured for e in exposures], share=True),
        stack,
        first.geometry,
        first.probe_modes,
        provenance,
        _joined([e.sample.static_region for e in exposures], share=True) if first.static_known else None,
        _joined([e.sample.static_support for e in exposures], share=True),
        first.frame_times_s if count == 1 else None,
        _joined([e.sample.object_support for e in exposures], share=True),
    )
    objects, supports = ([getattr(e.sample, name) for e in exposures] for name in ("object", "support"))
    return measurement, Truth(_joined(objects), _joined(supports), stack, first.geometry, provenance, extra)


def _joined(arrays: list, share: bool = False) -> np.ndarray | None:
    """Arrays of all samples, stacked where there are several; with ``share`` only one where they all agree."""
    if len(arrays) == 1 or arrays[0] is None or (share and all(np.array_equal(arrays[0], a) for a in arrays[1:])):
        return arrays[0]
    return np.stack(arrays)


def _joined_extra(extras: list[dict[str, Any]]) -> dict[str, Any]:
    """Extra truth of all samples: stacked, as a list of plain data, or by number where the shapes differ."""
    if len(extras) == 1:
        return extras[0]
    joined: dict[str, Any] = {}
    for name in extras[0]:
        values = [extra[name] for extra in extras]
        if not isinstance(values[0], np.ndarray):
            joined[name] = values
        elif len({value.shape for value in values}) == 1:
            joined[name] = np.stack(values)
        else:
            joined |= {f"{name}_{index}": value for index, value in enumerate(values)}
    return joined


def _check_memory(scene: Scene, parameters: SceneParameters, count: int) -> None:
    pattern = parameters.size ** getattr(parameters, "dimensions", 2)
    pixels = pattern * getattr(parameters, "frames", 1)
    need, limit = pixels * count * BYTES_PER_PIXEL + pattern * WORKING_BYTES_PER_PIXEL, memory_limit_bytes()
    if need > limit:
        raise InputError(
            f"scene {scene.name}: {count} x {pixels} pixels need {need / 2**30:.3g} GiB, the limit is "
            f"{limit / 2**30:.3g} GiB (CDIPIPE_MAX_GIB); take a smaller size or count"
        )


def _rank(sample: Sample) -> int:
    return 3 if sample.stack == "volume" else 2


def expose_sample(scene: Scene, parameters: SceneParameters, seed: int, index: int) -> Exposure:
    """Sample ``index`` of a scene and its counts; depends on nothing but the arguments."""
    sample = scene.build(parameters, stream(seed, index, OBJECT))
    return expose(sample, parameters, stream(seed, index, NOISE, parameters.noise_draw), stream(seed, index, DETECTOR))


OBJECT, NOISE, DETECTOR = range(3)


def stream(seed: int, index: int, kind: int, draw: int = 0) -> np.random.Generator:
    """The generator of sample ``index`` for its ``OBJECT``, its ``NOISE`` or what differs in its ``DETECTOR``."""
    key = (kind, draw) if draw else (kind,)
    return np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=key))


def expose(
    sample: Sample, parameters: SceneParameters, noise_rng: np.random.Generator, detector_rng: np.random.Generator
) -> Exposure:
    """Light falls on a sample: scale to photons, propagate, blur by coherence, count, mask.

    Parameters
    ----------
    sample : as a scene built it
    parameters : ``photons`` and ``detector`` are used
    noise_rng, detector_rng : for the counts; for what differs in the detector from pattern to pattern
    """
    noisy = parameters.photons is None or parameters.photons > 0  # None: the scene's doses decide
    sample = scale_to_photons(sample, parameters.photons or 0)
    sample = detection.add_chirp(sample, parameters.detector)
    frames = sample.object if sample.stack == "movie" else [sample.object]
    settings = detection.draw_settings(parameters.detector, sample, detector_rng)
    pairs = [
        detection.detect(_illuminate(sample, frame, settings), settings, noise_rng if noisy else None)
        for frame in frames
    ]
    intensity, measured = _joined([i for i, _ in pairs]), _joined([m for _, m in pairs], share=True)
    if sample.stack == "movie" and len(pairs) == 1:
        intensity = intensity[None]
    return Exposure(_single_precision(sample), intensity, measured)


def scale_to_photons(sample: Sample, photons: float) -> Sample:
    """The sample scaled so that a pattern has ``photons`` on average; 0: scale left alone.

    A plane wave's photons go to the object and the static region, a probe's to the probe modes. In complex128, but
    for movies, whose frames keep their type (they would fill the memory).
    """
    names = ("object", "static_region", "probe_modes")
    waves = {name: getattr(sample, name) for name in names}
    waves = {name: _wide(wave, sample.stack) for name, wave in waves.items() if wave is not None}
    if photons > 0 and not sample.photons_scaled:
        energy = _mean_energy(waves, sample.stack)
        if not energy > 0:
            raise InputError("the scene's object is zero where the light falls; no photons to scale")
        factor = np.sqrt(photons / energy)
        lit = ("probe_modes",) if "probe_modes" in waves else ("object", "static_region")
        waves |= {name: waves[name] * waves[name].real.dtype.type(factor) for name in lit if name in waves}
    return replace(sample, **waves)


def _wide(wave: np.ndarray, stack: str) -> np.ndarray:
    return np.asarray(wave, np.complex64 if stack == "movie" and wave.dtype == np.complex64 else np.complex128)


def _mean_energy(waves: dict[str, np.ndarray], stack: str) -> float:
    """Mean over the frames of sum |P (O + U)|^2, before any scaling."""
    light = (np.abs(waves["probe_modes"]) ** 2).sum(0) if "probe_modes" in waves else None
    frames = waves["object"] if stack == "movie" else [waves["object"]]
    energy = 0.0
    for frame in frames:
        whole = frame + waves["static_region"] if "static_region" in waves else frame
        power = np.abs(whole.astype(np.complex128, copy=False)) ** 2
        energy += np.sum(power if light is None else power * light)
    return energy / len(frames)


def _single_precision(sample: Sample) -> Sample:
    names = ("object", "static_region", "probe_modes")
    waves = {name: getattr(sample, name) for name in names}
    waves = {name: None if wave is None else wave.astype(np.complex64, copy=False) for name, wave in waves.items()}
    return replace(sample, **waves)


def _illuminate(sample: Sample, frame: np.ndarray, settings: detection.Settings) -> np.ndarray:
    """Intensity of one frame (or volume) of a sample: its object with the static region, in its light."""
    frame = frame.astype(np.complex128, copy=False)
    exit_wave = frame if sample.static_region is None else frame + sample.static_region
    width, variant = settings.coherence_px, settings.detector.coherence
    if width is None:
        return diffract(exit_wave, _rank(sample), sample.probe_modes)

    from cdipipe.optics import coherence

    if sample.probe_modes is None and variant == "gaussian_schell":
        return coherence.diffract_partially_coherent(exit_wave, width)
    return coherence.blur_by_coherence(diffract(exit_wave, _rank(sample), sample.probe_modes), width, variant)


def diffract(exit_wave: np.ndarray, ndim: int, probe_modes: np.ndarray | None = None) -> np.ndarray:
    """Intensity |F u|^2 over the last ``ndim`` axes, summed over probe modes; orthonormal, both sides centred."""
    import torch

    from cdipipe.optics.propagation import propagate_intensity

    probes = None if probe_modes is None else torch.from_numpy(np.ascontiguousarray(probe_modes))
    return propagate_intensity(torch.from_numpy(np.ascontiguousarray(exit_wave)), probes, ndim).numpy()
