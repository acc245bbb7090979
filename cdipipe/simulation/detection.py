"""The detector of a scene at work: mean photons in, counts and measured pixels out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cdipipe.errors import InputError
from cdipipe.simulation.detector_parameters import DetectorParameters, MaskParameters
from cdipipe.simulation.registry import Sample

NO_MASK = MaskParameters()


@dataclass(frozen=True)
class DrawnDetector:
    """A detector as it is for one sample: everything random about it is drawn.

    Parameters
    ----------
    measured : bool, shape of one pattern
    coherence_px : Gaussian Schell width xi, or None
    """

    detector: DetectorParameters
    measured: np.ndarray
    coherence_px: float | None


def draw_detector(detector: DetectorParameters, sample: Sample, rng: np.random.Generator) -> DrawnDetector:
    """Coherence width and mask of one sample; movies keep theirs over all frames."""
    shape = sample.object.shape[1:] if sample.stack == "movie" else sample.object.shape
    width = detector.coherence_px
    if width is not None and detector.coherence_spread:
        width = width * (1 + detector.coherence_spread * rng.uniform(-1, 1))
    measured = np.ones(shape, bool) if sample.unmeasured is None else ~sample.unmeasured
    if detector.mask != NO_MASK:
        measured = measured & draw_measured(shape[-2:], detector.mask, rng)
        if not measured.any():
            raise InputError(f"detector.mask hides every pixel of patterns of shape {shape}")
    return DrawnDetector(detector, measured, width)


def draw_measured(shape: tuple[int, int], mask: MaskParameters, rng: np.random.Generator) -> np.ndarray:
    """Pixels that a detector with this mask measures, (H, W) bool."""
    from cdipipe.optics import masks

    hidden = np.zeros(shape, bool)
    if mask.beamstop_px > 0:
        hidden |= masks.disc(shape, mask.beamstop_px, mask.beamstop_offset_px)
    for sides in (mask.rectangle_px, (mask.central_square_px,) * 2):
        if sides is not None and min(sides) > 0:
            hidden |= masks.rectangle(shape, sides)
    if mask.module_px is not None:
        hidden |= masks.gaps(shape, mask.module_px, mask.gap_px)
    if mask.dead_share > 0:
        hidden |= masks.dead_pixels(shape, mask.dead_share, rng)
    if mask.random_rectangle:
        hidden |= masks.random_rectangle(shape, mask.rectangle_half_sides_px, mask.rectangle_offset_px, rng)
    if mask.irregular is not None:
        irregular = _irregular(shape, mask, rng)
        if irregular.mean() <= mask.irregular_limit:
            hidden |= irregular
    return ~hidden


def _irregular(shape: tuple[int, int], mask: MaskParameters, rng: np.random.Generator) -> np.ndarray:
    from cdipipe.optics import masks

    if mask.irregular == "strokes":
        return masks.strokes(shape, rng)
    from cdipipe.io.importing.mask_files import draw_mask

    bright = draw_mask(mask.irregular, rng)
    holes = bright if mask.irregular_holes_are == "bright" else ~bright
    return masks.place_irregular(holes, shape, mask.irregular_grow_px, mask.irregular_rotation_deg, rng)


def detect(
    intensity: np.ndarray, drawn: DrawnDetector, rng: np.random.Generator | None
) -> tuple[np.ndarray, np.ndarray]:
    """Counts (float32) and measured pixels of the intensity on the detector.

    Parameters
    ----------
    intensity : (..., H, W) float64, photons
    rng : None: no noise, only mean background, saturation and mask
    """
    from cdipipe.optics import noise

    detector, measured = drawn.detector, drawn.measured
    counts = noise.count_photons(intensity, rng, detector.background_photons, detector.read_noise_photons)
    if detector.saturation_photons is not None:
        measured = measured & (counts < detector.saturation_photons)
    counts[..., ~measured] = 0
    return counts, measured
