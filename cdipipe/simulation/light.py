"""Light falls on a sample: scaled to photons, in the far or the near field, up to the mean photons on each pixel."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Geometry
from cdipipe.optics import far_field
from cdipipe.simulation.detector_parameters import DetectorParameters
from cdipipe.simulation.registry import Sample

TOGETHER_BYTES = 2**22
"""Samples that are transformed together: what stays in the processor's cache."""


def scale_to_photons(sample: Sample, photons: float) -> Sample:
    """The sample scaled so that a pattern has ``photons`` on average; 0: scale left alone.

    A plane wave's photons go to the object and the static region, a probe's to the probe modes. In complex128, but
    for movies, whose frames keep their type (they would fill the memory).

    Raises
    ------
    InputError   the object is zero where the light falls
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


def add_chirp(sample: Sample, detector: DetectorParameters) -> Sample:
    """The sample with the Fresnel chirp in its probe modes, and the geometry that goes with it.

    Raises
    ------
    InputError   neither the detector nor the scene says where the detector is, or the chirp would alias
    """
    if detector.propagation != "fresnel":
        return sample
    from cdipipe.optics.fresnel import detector_pixel_m, fresnel_chirp

    if sample.stack == "volume":
        raise InputError("detector.propagation 'fresnel' is for two dimensions; this scene makes a volume")
    shape = sample.object.shape[-2:]
    geometry, object_pixel_m = sample.geometry, sample.geometry.object_pixel_m(shape[-1])
    if (near := detector.fresnel) is not None:
        geometry, object_pixel_m = Geometry(near.energy_ev, near.distance_m), near.object_pixel_m
    if object_pixel_m is None:
        raise InputError(
            "detector.propagation 'fresnel' needs detector.fresnel (energy_ev, distance_m, object_pixel_m): "
            "this scene has no geometry of its own"
        )
    optics = (geometry.wavelength_m, geometry.distance_m, object_pixel_m)
    probes = np.ones((1, *shape)) if sample.probe_modes is None else sample.probe_modes
    pixel_y_m, pixel_x_m = (detector_pixel_m(size, *optics) for size in shape)
    return replace(
        sample,
        probe_modes=probes * fresnel_chirp(shape, *optics),
        geometry=replace(geometry, pixel_y_m=pixel_y_m, pixel_x_m=pixel_x_m),
    )


def illuminate(samples: list[Sample], widths: list[float | None], variant: str) -> list[Iterable[np.ndarray]]:
    """Mean photons on the detector of each sample, pattern by pattern, (*grid) float64.

    Parameters
    ----------
    samples : on the scale of the photons
    widths : Gaussian Schell coherence width of the light of each, in object pixels; None: coherent
    variant : of partial coherence, see ``cdipipe.optics.coherence``
    """
    if all(map(_is_alone, samples, widths)):
        return [[pattern] for pattern in _transform_together([sample.object for sample in samples])]
    return [_patterns(sample, width, variant) for sample, width in zip(samples, widths, strict=True)]


def _is_alone(sample: Sample, width: float | None) -> bool:
    """Nothing but one object in a coherent plane wave."""
    return sample.stack != "movie" and sample.probe_modes is None and sample.static_region is None and width is None


def _transform_together(objects: list[np.ndarray]) -> Iterable[np.ndarray]:
    count = max(TOGETHER_BYTES // objects[0].nbytes, 1)
    for first in range(0, len(objects), count):
        some = objects[first : first + count]
        yield from far_field.photons(some[0][None] if len(some) == 1 else np.stack(some), some[0].ndim)


def _patterns(sample: Sample, width: float | None, variant: str) -> Iterable[np.ndarray]:
    """Frame after frame of a movie, or the one pattern."""
    if width is not None:
        from cdipipe.optics import coherence

    ndim = 3 if sample.stack == "volume" else 2
    for frame in sample.object if sample.stack == "movie" else [sample.object]:
        frame = frame.astype(np.complex128, copy=False)
        exit_wave = frame if sample.static_region is None else frame + sample.static_region
        if width is None:
            yield far_field.photons(exit_wave, ndim, sample.probe_modes)
        elif sample.probe_modes is None and variant == "gaussian_schell":
            yield coherence.diffract_partially_coherent(exit_wave, width)
        else:
            pattern = far_field.photons(exit_wave, ndim, sample.probe_modes)
            yield coherence.blur_by_coherence(pattern, width, variant)
