"""Movies of transmission objects in a known beam: phase in the field, particles, velocities.

The beam fixes where the object is, so frames are compared in place. What lies outside the beam means nothing; every
measure here weighs pixels by the light on them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

FIELD_LEVEL = 0.1
"""The field: where the light is above this share of its maximum."""
MOVING_BACK = 4
"""Most rounds in which a frame is moved back by what it moved."""


def light_on_object(probe_modes: np.ndarray) -> np.ndarray:
    """Sum of |P_m|^2 over the modes, (H, W) float64, largest value 1.

    Parameters
    ----------
    probe_modes : (M, H, W) complex, not zero everywhere
    """
    light = (np.abs(probe_modes.astype(np.complex128)) ** 2).sum(0)
    return light / light.max()


def phase_in_field(frame: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Phase of a transmission (H, W) about its mean over the field, rad, float64.

    The mean is that of the unit phasors weighed by the light, so a global phase does not matter; a phase that spans
    more than a turn within one frame wraps.

    Parameters
    ----------
    frame : (H, W) complex
    light : (H, W) real, of :func:`light_on_object`
    """
    phasor = np.divide(frame, np.abs(frame), out=np.ones(frame.shape, np.complex128), where=np.abs(frame) > 0)
    mean = (phasor * light).sum()
    return np.angle(phasor * np.conj(mean))


def weighted_correlation(first: np.ndarray, second: np.ndarray, weight: np.ndarray) -> float:
    """Pearson correlation of two real images, pixels counted by ``weight``; 0 if one of them is flat.

    Parameters
    ----------
    first, second : (H, W) real
    weight : (H, W) real, >= 0

    Returns
    -------
    float, -1 to 1
    """
    total = weight.sum()
    one, two = (image - (image * weight).sum() / total for image in (first, second))
    below = np.sqrt((weight * one**2).sum() * (weight * two**2).sum())
    return float((weight * one * two).sum() / below) if below > 0 else 0.0


@dataclass(frozen=True)
class Separation:
    """Two classes of pixels by Otsu's threshold on the phase.

    Parameters
    ----------
    threshold_rad, particles_rad, background_rad : the threshold, and the mean phase below and above it
    spread_particles_rad, spread_background_rad : standard deviations of the classes
    distance : d' = |difference of means| / sqrt(mean of the variances)
    share : share of the field's pixels below the threshold: matter retards the wave, its phase is negative
    """

    threshold_rad: float
    particles_rad: float
    background_rad: float
    spread_particles_rad: float
    spread_background_rad: float
    distance: float
    share: float


def separate_particles(phase: np.ndarray, light: np.ndarray) -> Separation | None:
    """Particles and background in the field by Otsu's method; None where the phase is flat.

    Parameters
    ----------
    phase : (H, W) real, rad, of :func:`phase_in_field`
    light : (H, W) real, of :func:`light_on_object`; pixels in little light do not count

    References
    ----------
    Otsu, IEEE Trans. Syst. Man Cybern. 9, 62 (1979), doi:10.1109/TSMC.1979.4310076
    """
    from skimage.filters import threshold_otsu

    values = phase[light > FIELD_LEVEL]
    if not np.ptp(values) > 0:
        return None
    threshold = float(threshold_otsu(values))
    low, high = values[values <= threshold], values[values > threshold]
    if not len(low) or not len(high):
        return None
    noise = np.sqrt((low.var() + high.var()) / 2)
    distance = float((high.mean() - low.mean()) / noise) if noise > 0 else float("inf")
    means = float(low.mean()), float(high.mean())
    return Separation(threshold, *means, float(low.std()), float(high.std()), distance, len(low) / len(values))


def displacements_px(phases: np.ndarray, light: np.ndarray, lag: int, upsample: int = 200) -> np.ndarray:
    """How far the content moves between frames t and t + lag, (T - lag, 2) row and column.

    From the cross-correlation of the frames' phases, weighed by the light, mean subtracted, refined to 1 / ``upsample``
    px. The still edge of the beam pulls its peak towards zero, so the second frame is moved back by what was found and
    correlated anew, until nothing is left to find.

    Parameters
    ----------
    phases : (T, H, W) real, rad, of :func:`phase_in_field`
    light : (H, W) real, of :func:`light_on_object`
    lag : frames between the two that are compared, >= 1
    upsample : the peak of the correlation is found to 1 / ``upsample`` pixels

    References
    ----------
    Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33, 156 (2008), doi:10.1364/OL.33.000156
    """
    from scipy.ndimage import shift
    from skimage.registration import phase_cross_correlation

    window = np.sqrt(light)
    total = window.sum()

    def _weigh(frame):
        return (frame - (frame * window).sum() / total) * window

    displacements = np.zeros((max(len(phases) - lag, 0), 2))
    for moved, first, second in zip(displacements, phases, phases[lag:], strict=False):
        for _ in range(MOVING_BACK):
            back = shift(second, -moved, order=3, mode="nearest")
            found, _, _ = phase_cross_correlation(
                _weigh(first), _weigh(back), upsample_factor=upsample, normalization=None
            )
            moved -= found  # the shift that registers the second onto the first: minus the motion
            if not found.any():
                break
    return displacements


def speeds_m_per_s(phases: np.ndarray, light: np.ndarray, times_s: np.ndarray, pixel_m: float, lag: int) -> np.ndarray:
    """|displacement| over time for every pair of frames ``lag`` apart, (T - lag,) float64.

    Parameters
    ----------
    phases : (T, H, W) real, rad, of :func:`phase_in_field`
    light : (H, W) real, of :func:`light_on_object`
    times_s : (T,) when each frame was taken, s
    pixel_m : pixel of the object, m
    lag : frames between the two that are compared, >= 1

    Returns
    -------
    (T - lag,) float64, m/s
    """
    moved = displacements_px(phases, light, lag)
    return np.hypot(*moved.T) * pixel_m / (times_s[lag:] - times_s[:-lag])
