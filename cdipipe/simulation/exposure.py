"""From a scene to what a detector would count: a sample, the light on it, the detector behind it.

The way goes through ``registry`` (what a sample is), ``light`` (mean photons) and ``detection`` (counts); one sample
goes it like many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.measurement import Measurement, Truth
from cdipipe.simulation.detection import DrawnDetector, detect, draw_detector
from cdipipe.simulation.light import add_chirp, illuminate, scale_to_photons
from cdipipe.simulation.registry import Sample, Scene, SceneParameters
from cdipipe.simulation.shots import ShotSceneParameters, vary

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
    exposures = [exposure for index in indices for exposure in draw_exposures(scene, parameters, seed, [index])]
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


OBJECT, NOISE, DETECTOR = range(3)


def stream(seed: int, index: int, kind: int, draw: int = 0) -> np.random.Generator:
    """The generator of sample ``index`` for its ``OBJECT``, its ``NOISE`` or what differs in its ``DETECTOR``."""
    key = (kind, draw) if draw else (kind,)
    return np.random.default_rng(np.random.SeedSequence([seed, index], spawn_key=key))


def draw_exposures(scene: Scene, parameters: SceneParameters, seed: int, indices: Sequence[int]) -> list[Exposure]:
    """Samples of these numbers and their counts; each depends on nothing but parameters, seed and its number."""
    samples = _draw_samples(scene, parameters, seed, indices)
    if isinstance(parameters, ShotSceneParameters) and not parameters.shots.is_plain:
        samples = vary(scene, parameters, seed, indices, samples, lambda i: stream(seed, i, OBJECT, draw=1))
    noise = [stream(seed, index, NOISE, parameters.noise_draw) for index in indices]
    return expose(samples, parameters, noise, [stream(seed, index, DETECTOR) for index in indices])


def _draw_samples(scene: Scene, parameters: SceneParameters, seed: int, indices: Sequence[int]) -> list[Sample]:
    """Objects of these numbers; views of one object in a row share its number."""
    views = scene.views(parameters)
    if views == 1:
        return scene.build_many(parameters, [stream(seed, index, OBJECT) for index in indices])
    samples: list[Sample] = []
    for number, members in itertools.groupby(indices, lambda index: index // views):
        wanted = [index % views for index in members]
        samples += scene.build_views(parameters, stream(seed, number, OBJECT), wanted)
    return samples


def expose(
    samples: list[Sample],
    parameters: SceneParameters,
    noise: list[np.random.Generator],
    detectors: list[np.random.Generator],
) -> list[Exposure]:
    """Light falls on samples: scale to photons, propagate, blur by coherence, count, mask.

    Parameters
    ----------
    samples : as a scene built them
    parameters : ``photons`` and ``detector`` are used
    noise, detectors : one for each sample: for the counts; for what differs in the detector from pattern to pattern
    """
    detector, noisy = parameters.detector, parameters.photons is None or parameters.photons > 0
    lit = [add_chirp(scale_to_photons(sample, parameters.photons or 0), detector) for sample in samples]
    drawn = [draw_detector(detector, sample, rng) for sample, rng in zip(lit, detectors, strict=True)]
    patterns = illuminate(lit, [each.coherence_px for each in drawn], detector.coherence)
    return [
        _count(sample, means, each, rng if noisy else None)
        for sample, means, each, rng in zip(lit, patterns, drawn, noise, strict=True)
    ]


def _count(sample: Sample, means: Iterable[np.ndarray], drawn: DrawnDetector, rng) -> Exposure:
    """What the detector makes of the mean photons of each pattern of a sample."""
    pairs = [detect(mean, drawn, rng) for mean in means]
    intensity, measured = _joined([i for i, _ in pairs]), _joined([m for _, m in pairs], share=True)
    if sample.stack == "movie" and len(pairs) == 1:
        intensity = intensity[None]
    return Exposure(_single_precision(sample), intensity, measured)


def _single_precision(sample: Sample) -> Sample:
    names = ("object", "static_region", "probe_modes")
    waves = {name: getattr(sample, name) for name in names}
    waves = {name: None if wave is None else wave.astype(np.complex64, copy=False) for name, wave in waves.items()}
    return replace(sample, **waves)
