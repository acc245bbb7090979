"""The detector of a scene at work: parameters in, counts and measured pixels out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cdipipe.measurement import Geometry
from cdipipe.simulate.detector import DetectorParameters, MaskParameters
from cdipipe.simulate.registry import Sample

NO_MASK = MaskParameters()


@dataclass(frozen=True)
class Settings:
    """A detector as it is for one sample: everything random about it is drawn.

    Parameters
    ----------
    measured : bool, shape of one pattern
    coherence_px : Gaussian Schell width xi, or None
    """

    detector: DetectorParameters
    measured: np.ndarray
    coherence_px: float | None


def draw_settings(detector: DetectorParameters, sample: Sample, rng: np.random.Generator) -> Settings:
    """Coherence width and mask of one sample; movies keep theirs over all frames."""
    shape = sample.object.shape[1:] if sample.stack == "movie" else sample.object.shape
    width = detector.coherence_px
    if width is not None and detector.coherence_spread:
        width = width * (1 + detector.coherence_spread * rng.uniform(-1, 1))
    measured = np.ones(shape, bool) if sample.unmeasured is None else ~sample.unmeasured
    if detector.mask != NO_MASK:
        from cdipipe.optics.masks import draw_mask

        measured = measured & draw_mask(shape[-2:], detector.mask, rng)
    return Settings(detector, measured, width)


def add_chirp(sample: Sample, detector: DetectorParameters) -> Sample:
    """The sample with the Fresnel chirp in its probe modes, and the geometry that goes with it."""
    if detector.fresnel is None:
        return sample
    from cdipipe.optics.propagation import detector_pixel_m, fresnel_chirp

    near, shape = detector.fresnel, sample.object.shape[-2:]
    probes = np.ones((1, *shape)) if sample.probe_modes is None else sample.probe_modes
    geometry = Geometry(near.energy_ev, near.distance_m)
    optics = (geometry.wavelength_m, near.distance_m, near.object_pixel_m)
    pixels = {detector_pixel_m(size, *optics) for size in shape}
    return replace(
        sample,
        probe_modes=probes * fresnel_chirp(shape, *optics),
        geometry=replace(geometry, pixel_m=pixels.pop() if len(pixels) == 1 else None),
    )


def detect(intensity: np.ndarray, settings: Settings, rng: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
    """Counts (float32) and measured pixels of an ideal intensity.

    Parameters
    ----------
    intensity : (..., H, W) float64, photons
    rng : None: no noise, only coherence, mean background, saturation and mask
    """
    from cdipipe.optics import noise

    detector, measured = settings.detector, settings.measured
    if settings.coherence_px is not None:
        from cdipipe.optics.coherence import blur_by_coherence

        intensity = blur_by_coherence(intensity, settings.coherence_px, detector.coherence)
    counts = noise.count_photons(intensity, rng, detector.background_photons, detector.read_noise_photons)
    if detector.saturation_photons is not None:
        measured = measured & (counts < detector.saturation_photons)
    counts[..., ~measured] = 0
    return counts, measured
