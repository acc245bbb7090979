"""From numbers in a file to photon counts and the pixels that can be trusted."""

from __future__ import annotations

import numpy as np

from cdipipe.errors import InputError


def clean_counts(
    values: np.ndarray, measured: np.ndarray, keep_negative: bool = False
) -> tuple[np.ndarray, np.ndarray, dict[str, int]]:
    """Mask pixels whose counts are NaN, infinite or negative, and set these to 0.

    Parameters
    ----------
    values : (..., H, W) float32; changed in place
    measured : bool, shape of ``values`` or of one pattern
    keep_negative : leave negative counts as they are (read noise or a subtracted background)

    Returns
    -------
    intensity : float32, shape of ``values``
    measured : bool; grown to the shape of ``values`` only where single patterns need it
    newly_masked : number of pixels masked here, by reason
    """
    newly_masked: dict[str, int] = {}
    not_finite = ~np.isfinite(values)
    bad = not_finite
    newly_masked["not_finite"] = int(np.count_nonzero(not_finite & measured))
    values[not_finite] = 0
    if not keep_negative:
        negative = values < 0
        newly_masked["negative"] = int(np.count_nonzero(negative & measured))
        values[negative] = 0
        bad = bad | negative
    if any(newly_masked.values()):
        measured = measured & ~bad
    return values, measured, newly_masked


def check_usable(intensity: np.ndarray, measured: np.ndarray, where: str) -> None:
    """Raise InputError if no pixel is left, or no photon on those that are."""
    if not measured.any():
        raise InputError(f"{where}: no pixel is left, all {measured.size} are masked")
    brightest = np.max(intensity, where=measured, initial=0)
    if not brightest > 0:
        raise InputError(f"{where}: no photons, every measured pixel is zero")


def check_range(counts: np.ndarray, what: str) -> None:
    """Raise InputError where sums or squares of counts have left the range of float32."""
    if not np.isfinite(counts).all():
        raise InputError(
            f"{what}, values are beyond {np.finfo(np.float32).max:.3g}, the largest number that is held: "
            "these are no photon counts; divide by a constant"
        )


def compact_counts(intensity: np.ndarray) -> np.ndarray:
    """The smallest of uint16, uint32 and float32 that holds the counts exactly (whole numbers take less room)."""
    low, high = float(intensity.min()), float(intensity.max())
    for dtype in (np.uint16, np.uint32):
        if low >= 0 and high <= np.iinfo(dtype).max:
            whole = intensity.astype(dtype)
            if np.array_equal(whole, intensity):
                return whole
            break
    return intensity.astype(np.float32, copy=False)
