"""A constant level under the patterns: scattered light, dark counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from cdipipe.io.importing.frames import Frames, Part, whole_frames
from cdipipe.io.importing.hot import of_survey

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake

BLOCK_PX = 16
BLOCKS_ACROSS = 8
"""Small patterns are cut into so many blocks along their shorter side."""
DARKEST = 0.1
"""The level is taken from this share of the blocks, the darkest."""
FRAMES_SAMPLED = 8
CERTAIN_SIGMAS = 2.0
VALLEYS, VALLEY_PX, VALLEY_SIGMAS = 0.01, 3, 2.33
"""Share of the dark pixels that are the valleys between speckles, the square that is averaged there, and how many
standard deviations of noise below its mean such a share of a flat background is."""


@dataclass(frozen=True)
class Level:
    """A background and what it was taken from.

    Parameters
    ----------
    counts : per pixel and frame, at least 0
    mean : counts of the pixels looked at, per pixel and frame
    blocks, side_px : how many blocks of which size there are
    """

    counts: float
    mean: float
    blocks: int
    side_px: int


def _in_blocks(image: np.ndarray, side: int) -> np.ndarray:
    """(..., H, W) as (..., rows, columns, side * side)."""
    rows, columns = (size // side for size in image.shape[-2:])
    cut = image[..., : rows * side, : columns * side]
    split = cut.reshape(*image.shape[:-2], rows, side, columns, side)
    return np.moveaxis(split, -3, -2).reshape(*image.shape[:-2], rows, columns, side * side)


def find_level(mean: np.ndarray, frames: np.ndarray, measured: np.ndarray) -> Level:
    """What lies under the speckles of the darkest blocks, and no more than there is in the valleys between them.

    The standard deviation of fully developed speckles is their mean (Goodman, Speckle Phenomena in Optics, 2007), and
    counts have Poisson noise on top, so background = mean - sqrt(variance - mean). It comes out too low rather than
    too high where counts are not photons or the speckles are stronger.

    Parameters
    ----------
    mean : (H, W) mean counts of all frames, by which blocks are chosen
    frames, measured : (N, H, W) counts of some frames, and where they were measured in all of them
    """
    side = max(1, min(BLOCK_PX, min(mean.shape) // BLOCKS_ACROSS))
    seen = measured.all(0)
    number = _in_blocks(seen, side).sum(-1)
    enough = number >= side * side / 2
    if not enough.any():
        return Level(0.0, 0.0, 0, side)
    levels = _in_blocks(np.where(seen, mean, 0), side).sum(-1) / np.maximum(number, 1)
    dark = enough & (levels <= np.quantile(levels[enough], DARKEST))
    pixels = _in_blocks(frames, side)[:, dark]
    here = np.broadcast_to(_in_blocks(seen, side)[dark], pixels.shape)
    average = float(np.mean(pixels, where=here))
    excess = np.var(pixels, axis=-1, where=here, ddof=1) - np.mean(pixels, axis=-1, where=here)
    noise = np.sqrt((2 * average**2 + abs(average)) / max(here.sum(), 1))
    speckles = np.sqrt(max(float(excess.mean()) - CERTAIN_SIGMAS * noise, 0.0))
    level = min(average - float(speckles), _in_valleys(frames, seen, dark, side))
    return Level(max(level, 0.0), average, int(enough.sum()), side)


def _in_valleys(frames: np.ndarray, seen: np.ndarray, dark: np.ndarray, side: int) -> float:
    """The flat background whose noise would be as low as the darkest spots of the dark blocks."""
    size = (1, VALLEY_PX, VALLEY_PX)
    whole = ndimage.minimum_filter(seen, size[1:])
    spots = _in_blocks(ndimage.uniform_filter(frames.astype(np.float64), size), side)[:, dark]
    spots = spots[np.broadcast_to(_in_blocks(whole, side)[dark], spots.shape)]
    if not spots.size:
        return np.inf
    noise = VALLEY_SIGMAS / VALLEY_PX
    root = noise / 2 + np.sqrt(noise * noise / 4 + max(float(np.quantile(spots, VALLEYS)), 0.0))
    return root * root


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
    intake.account.say("corrected", f"background of {level:.4g} counts per pixel and frame subtracted; {stays}")

    def apply(frames: Frames, part: Part) -> None:
        np.subtract(frames.counts, np.float32(level), out=frames.counts, where=frames.measured)

    return apply


def _estimate(intake: Intake) -> float:
    survey = intake.survey
    hot = of_survey(survey)
    sample = survey.frames[np.unique(np.linspace(0, len(survey.frames) - 1, FRAMES_SAMPLED).round().astype(int))]
    frames = intake.read(whole_frames(intake.source.shape, sample))
    found = find_level(survey.mean, frames.counts, frames.measured & ~hot.always & ~hot.once)
    told = (
        f"the darkest tenth of {found.blocks} blocks of {found.side_px} x {found.side_px} pixels has {found.mean:.4g}"
    )
    speckles = f"counts per pixel and frame, {found.mean - found.counts:.4g} of them speckles"
    intake.account.say("corrected", f"background estimated: {told} {speckles}", guess=True)
    return round(found.counts, 4)
