"""Detector corrections and masks on raw counts, each pixel's loss booked under its reason."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from cdipipe.errors import InputError

WHITEFIELD_STD_BELOW = 3.0
WHITEFIELD_LEAST_SHARE = 0.5


@dataclass
class Frames:
    """Counts on their way to a measurement.

    Parameters
    ----------
    counts : (H, W), (N, H, W) or (D, H, W) float32
    measured : bool, the shape of ``counts``
    masked : pixels masked so far, by reason
    """

    counts: np.ndarray
    measured: np.ndarray
    masked: dict[str, int] = field(default_factory=dict)

    def mask(self, bad: np.ndarray, reason: str) -> None:
        """Stop trusting the pixels where ``bad`` (of the shape of the counts or of one frame)."""
        newly = self.measured & bad
        self.masked[reason] = self.masked.get(reason, 0) + int(np.count_nonzero(newly))
        self.measured &= ~bad


def mask_unphysical(frames: Frames, keep_negative: bool = False) -> None:
    """Mask NaN, infinite and (unless kept) negative counts and set them to 0."""
    not_finite = ~np.isfinite(frames.counts)
    frames.mask(not_finite, "not_finite")
    frames.counts[not_finite] = 0
    if not keep_negative:
        negative = frames.counts < 0
        frames.mask(negative, "negative")
        frames.counts[negative] = 0


def cut_region(field_: np.ndarray, frame_shape: tuple[int, int], corner: tuple[int, int], what: str) -> np.ndarray:
    """The part of a dark or white field that a frame covers, averaged over its exposures.

    Parameters
    ----------
    field_ : (Y, X), or (K, Y, X) for K exposures
    frame_shape : (H, W)
    corner : row and column of the frame's first pixel on the field
    """
    field_ = np.squeeze(field_).astype(np.float64)
    if field_.ndim == 3:
        known = np.isfinite(field_)
        total = np.where(known, field_, 0).sum(0)
        field_ = np.where(known.any(0), total / np.maximum(known.sum(0), 1), np.nan)
    if field_.ndim != 2:
        raise InputError(f"{what}: has shape {field_.shape}; allowed: (Y, X) or (K, Y, X)")
    (top, left), (height, width) = corner, frame_shape
    if top < 0 or left < 0 or top + height > field_.shape[0] or left + width > field_.shape[1]:
        raise InputError(
            f"{what}: has shape {field_.shape} and does not cover frames of shape {(height, width)} at {corner}; "
            "see --roi"
        )
    return field_[top : top + height, left : left + width]


def subtract_dark(frames: Frames, dark: np.ndarray) -> None:
    """Subtract a dark frame; the noise may make counts negative, and they stay so."""
    bad = ~np.isfinite(dark)
    frames.mask(np.broadcast_to(bad, frames.counts.shape), "dark")
    frames.counts -= np.where(bad, 0, dark).astype(np.float32)


def bad_whitefield_pixels(whitefield: np.ndarray) -> np.ndarray:
    """Pixels whose response is missing, 3 standard deviations below the mean, or below half of it.

    The half catches the narrow or dead pixels along the seams of tiled detectors, which widen the spread themselves.
    """
    alive = np.isfinite(whitefield) & (whitefield > 0)
    if not alive.any():
        raise InputError("--whitefield: no pixel of it is above zero")
    mean, std = whitefield[alive].mean(), whitefield[alive].std()
    least = max(mean - WHITEFIELD_STD_BELOW * std, WHITEFIELD_LEAST_SHARE * mean)
    return ~alive | (np.nan_to_num(whitefield) < least)


def divide_whitefield(frames: Frames, whitefield: np.ndarray) -> None:
    """Divide by the white field over its mean on good pixels; the others become unmeasured and 0."""
    bad = bad_whitefield_pixels(whitefield)
    gain = np.where(bad, 1, whitefield / whitefield[~bad].mean())
    frames.mask(np.broadcast_to(bad, frames.counts.shape), "whitefield")
    frames.counts /= gain.astype(np.float32)
    frames.counts *= ~bad


def mask_saturated(frames: Frames, saturation: float) -> np.ndarray:
    """Mask counts of at least ``saturation`` and return where they are."""
    saturated = frames.measured & (frames.counts >= saturation)
    frames.mask(saturated, "saturated")
    return saturated


def cut_low_counts(frames: Frames, threshold: float) -> None:
    """Set counts below ``threshold`` to 0; they stay measured."""
    frames.counts[frames.counts < threshold] = 0
