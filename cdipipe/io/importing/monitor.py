"""Frames of unlike incident flux, made alike by a monitor's counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.formats import read_array
from cdipipe.io.importing.frames import Frames, Part

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake


def flux_factors(monitor: np.ndarray, what: str) -> np.ndarray:
    """What frames are multiplied by: the monitor's mean over its value.

    Parameters
    ----------
    monitor : (N,)

    Raises
    ------
    InputError   a value is not a positive number
    """
    dark = ~(np.isfinite(monitor) & (monitor > 0))
    if dark.any():
        frame = int(np.argmax(dark))
        raise InputError(f"{what}: is {monitor[frame]:g} in frame {frame}; leave frames without light out by --frames")
    return monitor.mean() / monitor


def prepare(intake: Intake) -> Apply | None:
    """Scale every frame to the mean incident flux."""
    name = intake.options.monitor
    if name is None:
        return None
    what = f"--monitor {name}"
    if intake.stack == "single":
        raise InputError(f"{what}: scales the frames of a stack; this is a single pattern")
    values = _values(intake, name, what)
    total = sum(found.source.shape[0] for found in intake.parts)
    if values.size != total:
        raise InputError(f"{what}: has {values.size} values; there are {total} frames")
    factors = flux_factors(values[intake.numbers], what)
    scaled = f"frames scaled by {factors.min():.4g} to {factors.max():.4g} to the mean of {name}"
    intake.account.say("corrected", f"{scaled}; counts are no longer pure Poisson", monitor=name, poisson=False)

    def apply(frames: Frames, part: Part) -> None:
        frames.counts *= factors[part.frames].astype(np.float32)[:, None, None]

    return apply


def _values(intake: Intake, name: str, what: str) -> np.ndarray:
    """The monitor of every frame in the files: an array of each data file, or one in a file of its own."""
    if name in intake.options.named_files():
        arrays = [read_array(name)]
    else:
        arrays = [read_array(f"{found.path}::{name}") for found in intake.parts]
    return np.concatenate([np.asarray(array, np.float64).ravel() for array in arrays])
