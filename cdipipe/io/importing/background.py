"""A constant level under the patterns: scattered light, dark counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cdipipe.io.importing.frames import Frames, Part
from cdipipe.io.importing.hot import of_survey

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake

BLOCK_PX = 16
BLOCKS_ACROSS = 8
"""Small patterns are cut into so many blocks along their shorter side."""
DARKEST = 0.1
"""The level is that of the block which is brighter than this share of all."""


def darkest_level(mean: np.ndarray, measured: np.ndarray) -> tuple[float, int, int]:
    """The mean count of the darker blocks of a pattern; too low by about a standard deviation if all is as dark.

    Parameters
    ----------
    mean : (H, W) mean counts
    measured : (H, W) bool

    Returns
    -------
    level : counts per pixel and frame, at least 0
    blocks : how many blocks with enough measured pixels there are
    side_px : their size
    """
    side = max(1, min(BLOCK_PX, min(mean.shape) // BLOCKS_ACROSS))
    rows, columns = (size // side for size in mean.shape)
    cut, split = (slice(rows * side), slice(columns * side)), (rows, side, columns, side)
    number = measured[cut].reshape(split).sum((1, 3))
    total = np.where(measured, mean, 0)[cut].reshape(split).sum((1, 3))
    levels = (total / np.maximum(number, 1))[number >= side * side / 2]
    if not levels.size:
        return 0.0, 0, side
    return max(float(np.quantile(levels, DARKEST)), 0.0), levels.size, side


def prepare(intake: Intake) -> Apply | None:
    """Subtract a level; noise may make counts negative, and they stay so."""
    wanted = intake.options.background
    if wanted is None:
        return None
    level = _estimate(intake) if wanted == "auto" else float(wanted)
    intake.account.facts["background"] = level
    if level == 0:
        return None
    stays = "counts below zero are noise and stay"
    if wanted == "auto":
        intake.account.note(f"--background auto took {level:.4g}; compare it with a dark corner of the raw frames")
    intake.account.say("corrected", f"background of {level:.4g} counts per pixel and frame subtracted; {stays}")

    def apply(frames: Frames, part: Part) -> None:
        np.subtract(frames.counts, np.float32(level), out=frames.counts, where=frames.measured)

    return apply


def _estimate(intake: Intake) -> float:
    survey = intake.survey
    hot = of_survey(survey)
    level, blocks, side = darkest_level(survey.mean, (survey.times > 0) & ~hot.always & ~hot.once)
    told = f"background estimated from {blocks} blocks of {side} x {side} pixels: a tenth of them are darker"
    intake.account.say("corrected", f"{told} than {level:.4g} counts per pixel and frame", guess=True)
    return level
