"""Where the zero frequency (or the Bragg peak) is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cdipipe.io.importing.frames import whole_frames

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake

HOT_NEIGHBOUR_SHARE = 0.02
HOT_PIXELS_TRIED = 200


@dataclass(frozen=True)
class Centre:
    """The place of the zero frequency.

    Parameters
    ----------
    index : (y, x) or (z, y, x), in pixels of the detector and frames of the stack, before binning
    how : what it was found from
    sure : False where it is a guess
    note : what the user should look at
    """

    index: tuple[int, ...]
    how: str
    sure: bool = True
    note: str = ""


def find(intake: Intake) -> Centre:
    """The centre of the patterns of an import."""
    if intake.rank == 2:
        survey = intake.survey
        return Centre(find_centre(survey.total, survey.saturated > 0), "the brightest pixel")
    frames = intake.read(whole_frames(intake.source.shape))
    saturated = frames.saturated
    return Centre(find_centre(frames.counts * frames.measured, saturated), "the brightest pixel")


def _is_hot(pattern: np.ndarray, index: tuple[int, ...]) -> bool:
    """A pixel far above all its neighbours is a defect, not the peak of a sampled pattern."""
    around = tuple(slice(max(i - 1, 0), i + 2) for i in index)
    neighbours = np.sort(pattern[around], axis=None)[:-1]
    return neighbours.size == 0 or neighbours[-1] < HOT_NEIGHBOUR_SHARE * pattern[index]


def _largest_patch_centre(where: np.ndarray) -> tuple[int, ...]:
    labels, count = ndimage.label(where)
    largest = 1 + int(np.argmax(ndimage.sum_labels(where, labels, range(1, count + 1))))
    return tuple(round(float(c)) for c in ndimage.center_of_mass(where, labels, largest))


def find_centre(pattern: np.ndarray, saturated: np.ndarray | None = None) -> tuple[int, ...]:
    """Index of the zero frequency (or Bragg peak) of one pattern.

    The middle of the largest saturated patch if any pixel is saturated, else the brightest pixel that is not a lone hot
    one; in patterns too sparse to tell, the maximum after a blur of 2 pixels.

    Parameters
    ----------
    pattern : (H, W) or (D, H, W), masked pixels 0
    saturated : bool, same shape
    """
    if saturated is not None and saturated.any():
        return _largest_patch_centre(saturated)
    tried = min(HOT_PIXELS_TRIED, pattern.size)
    brightest = np.argpartition(pattern, -tried, axis=None)[-tried:]
    brightest = brightest[np.argsort(-pattern.ravel()[brightest], kind="stable")]
    for flat in brightest:
        index = tuple(int(i) for i in np.unravel_index(flat, pattern.shape))
        if pattern[index] <= 0:
            break
        if not _is_hot(pattern, index):
            return index
    blurred = ndimage.gaussian_filter(pattern, 2.0)
    return tuple(int(i) for i in np.unravel_index(np.argmax(blurred), pattern.shape))
