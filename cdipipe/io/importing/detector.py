"""Detector corrections and masks on raw counts, each pixel's loss booked under its reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.counts import check_range
from cdipipe.io.importing.formats import read_array
from cdipipe.io.importing.frames import Frames, Part, runs
from cdipipe.io.importing.photons import unmarked

if TYPE_CHECKING:
    from cdipipe.io.importing.found import Found
    from cdipipe.io.importing.intake import Apply, Intake

LIMITS_IN_HDF5 = ("saturation_value", "detectorSpecific/countrate_correction_count_cutoff")
COUNT_CUTOFF = re.compile(r"Count_cutoff\s+(\d+)")
LEAST_LIMIT = 100
"""No detector is full with fewer counts: such a number is none."""
WHITEFIELD_STD_BELOW = 3.0
WHITEFIELD_LEAST_SHARE = 0.5


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


def _field(intake: Intake, option: str) -> np.ndarray:
    """A correction file's values where the frames lie on it, (H, W)."""
    file = getattr(intake.options, option)
    frame_shape = intake.source.shape[1:]
    return cut_region(unmarked(read_array(file)), frame_shape, intake.options.roi, f"--{option} {file}")


def dark(intake: Intake) -> Apply | None:
    """Subtract a dark frame; the noise may make counts negative, and they stay so."""
    if intake.options.dark is None:
        return None
    field = _field(intake, "dark")
    bad, level = ~np.isfinite(field), np.where(np.isfinite(field), field, 0).astype(np.float32)
    intake.account.say("corrected", f"dark {intake.options.dark} subtracted")

    def apply(frames: Frames, part: Part) -> None:
        frames.mask(part.cut(bad), "dark")
        frames.counts -= part.cut(level)

    return apply


def whitefield(intake: Intake) -> Apply | None:
    """Divide by the white field over its mean on good pixels; the others become unmeasured and 0."""
    if intake.options.whitefield is None:
        return None
    field = _field(intake, "whitefield")
    bad = bad_whitefield_pixels(field)
    gain = np.where(bad, 1, field / field[~bad].mean()).astype(np.float32)
    intake.account.say("corrected", f"divided by the white field {intake.options.whitefield}")

    def apply(frames: Frames, part: Part) -> None:
        here = part.cut(bad)
        frames.mask(here, "whitefield")
        frames.counts /= part.cut(gain)
        frames.counts *= ~here

    return apply


def saturation(intake: Intake) -> Apply | None:
    """Mask counts of at least ``--saturation``, or above what the file says is trusted, and remember where they are."""
    limit, in_file = intake.options.saturation, limit_in_file(intake.found)
    if limit is None and in_file is None:
        return None
    if limit is None:
        intake.account.say("masked", f"counts above {in_file:.10g}, which the file gives as the largest it trusts")

    def apply(frames: Frames, part: Part) -> None:
        too_many = frames.counts > in_file if limit is None else frames.counts >= limit
        frames.saturated = frames.measured & too_many
        frames.mask(frames.saturated, "saturated")

    return apply


def limit_in_file(found: Found) -> float | None:
    """The largest count that a file trusts: NeXus's ``saturation_value``, DECTRIS's count cutoff; None without one."""
    values = []
    if found.hdf5 is not None and found.detector is not None:
        values = [found.hdf5.number(f"{found.detector}/{name}") for name in LIMITS_IN_HDF5]
    for text in found.header.values():
        if cutoff := COUNT_CUTOFF.search(str(text)):
            values.append(float(cutoff[1]))
    return min((value for value in values if value is not None and value >= LEAST_LIMIT), default=None)


def threshold(intake: Intake) -> Apply | None:
    """Set counts below a threshold to 0; they stay measured."""
    limit = intake.options.threshold
    if limit is None:
        return None
    intake.account.say("corrected", f"counts below {limit:g} set to 0")

    def apply(frames: Frames, part: Part) -> None:
        frames.counts[frames.counts < limit] = 0

    return apply


def amplitude(intake: Intake) -> Apply | None:
    """Square the values of files that hold amplitudes."""
    in_file = intake.found.hints.get("amplitude")
    if not (intake.options.amplitude or in_file):
        return None
    intake.account.say("corrected", f"amplitudes squared{', as the file says that it holds them' if in_file else ''}")

    def apply(frames: Frames, part: Part) -> None:
        with np.errstate(over="ignore"):
            np.square(frames.counts, out=frames.counts)
        check_range(frames.counts, f"{intake.where}: squared by --amplitude")

    return apply


def tally(intake: Intake) -> Apply:
    """Add up the photons read, before anything is masked or corrected."""

    def apply(frames: Frames, part: Part) -> None:
        intake.tally += float(np.sum(frames.counts, where=frames.counts > 0, dtype=np.float64))

    return apply


def unwritten(intake: Intake) -> Apply | None:
    """Frames and blocks of a file that were never written are unmeasured, not zero."""
    if intake.source.complete:
        return None
    _tell_unwritten(intake)

    def apply(frames: Frames, part: Part) -> None:
        written = intake.source.written(part)
        frames.mask(~written, "never_written")
        frames.counts[~written] = 0

    return apply


def _tell_unwritten(intake: Intake) -> None:
    """Name the frames that were never written, and the files that are missing."""
    missing = list(dict.fromkeys(name for found in intake.parts for name in found.missing()))
    if missing:
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        intake.account.note(f"{len(missing)} files that hold frames do not exist: {shown}; their frames are unmeasured")
    present = intake.source.present()
    if not present.any():
        raise InputError(f"{intake.where}: no frame of {len(present)} was ever written")
    absent = intake.numbers[~present]
    if not len(absent):
        return
    shown = ", ".join(_range(run) for run in runs(absent)[:5]) + (", ..." if len(runs(absent)) > 5 else "")
    what = "slices" if intake.stack == "volume" else "frames"
    intake.account.note(
        f"{len(absent)} of {len(present)} {what} were never written, so they are unmeasured: {shown}; "
        "--frames FIRST:LAST leaves them out"
    )


def _range(run: np.ndarray) -> str:
    return str(run[0]) if len(run) == 1 else f"{run[0]} to {run[-1]}"
