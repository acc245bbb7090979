"""Where the zero frequency (or the Bragg peak) of an import is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.frames import Part
from cdipipe.io.importing.hot import of_survey, summed
from cdipipe.io.importing.middle import Middle, brighter, find_middle

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake

BOX_HALF_PX = 3
CORNER_SHARE = 0.7
BRIGHT_FRAMES = 8
"""Of a volume, the frames with most photons and those beside them are looked at for the slice of the peak."""
CUT_SHARE, LOST_SHARE, CUT_PHOTONS = 0.3, 0.7, 30
"""A peak with the first share of its maximum at an end of scan or detector is cut, with the second one its top may lie
beyond; fewer photons do not tell."""


@dataclass(frozen=True)
class Centre:
    """The place of the zero frequency.

    Parameters
    ----------
    index : (y, x) or (z, y, x), in pixels of the detector and frames of the stack, before binning
    how : what it was found from, and how sure that is
    sure : False where it is a guess
    note : what the user should look at
    """

    index: tuple[int, ...]
    how: str
    sure: bool = True
    note: str = ""


def find(intake: Intake) -> Centre:
    """The centre of the patterns of an import."""
    if intake.is_corner:
        return Centre((0,) * intake.rank, "the corner, as --corner says")
    survey = intake.survey
    hot = of_survey(survey)
    often = survey.times >= max(int(survey.times.max()), 1) / 2
    seen = often & (survey.saturated == 0) & ~hot.always & ~hot.once
    if not seen.any():
        seen = often
    middle = find_middle(summed(survey), seen)
    how = f"{middle.why} (agrees to {middle.agreement:.2f} with the pattern turned by 180 degrees about it: "
    index, cut = (middle.index, "") if intake.rank == 2 else _in_volume(intake, middle, seen)
    return Centre(
        index,
        f"{how}{middle.confidence})",
        middle.confidence != "not sure",
        cut or _note(middle, np.where(seen, summed(survey), 0)),
    )


def in_corners(counts: np.ndarray) -> bool:
    """Whether next to all photons lie in the corners of a pattern (H, W), as if its zero frequency were there."""
    height, width = counts.shape
    rows = (np.abs(np.arange(height) - (height - 1) / 2) < height / 4)[:, None]
    columns = (np.abs(np.arange(width) - (width - 1) / 2) < width / 4)[None]
    whole = max(float(counts.sum()), 1e-30)
    corners, middle = counts[np.broadcast_to(~rows & ~columns, counts.shape)], counts[rows & columns]
    return corners.sum() > CORNER_SHARE * whole and middle.sum() < (1 - CORNER_SHARE) / 4 * whole


def _note(middle: Middle, counts: np.ndarray) -> str:
    if in_corners(counts):
        return "next to all photons lie in the corners: is the zero frequency there? --corner"
    if middle.dark_px:
        return (
            f"{middle.dark_px} pixels without counts lie inside the brightest part, near {middle.index}: a beam stop "
            "that counts as measured? Give its pixels with --mask"
        )
    if middle.unmeasured_px:
        return f"the middle is unmeasured: {middle.unmeasured_px} pixels around {middle.index}"
    if middle.confidence == "not sure":
        return f"not sure where the middle is; {middle.index} is a guess, --centre ROW,COLUMN says otherwise"
    return ""


def _in_volume(intake: Intake, middle: Middle, seen: np.ndarray) -> tuple[tuple[int, int, int], str]:
    """The slice in which a small box around the middle has most counts; the brightest voxel there if it is no noise.

    And a sentence where the peak is cut by an end of the scan or the detector; of a rocking curve, an error where its
    top may not be in there at all.
    """
    frames = _bright_frames(intake)
    rows, columns = (
        np.arange(max(at - BOX_HALF_PX, 0), min(at + BOX_HALF_PX + 1, size))
        for at, size in zip(middle.index, intake.source.shape[1:], strict=True)
    )
    box = intake.read(Part(frames, rows, columns))
    if box.saturated is not None and box.saturated.any():
        return (round(float(np.average(frames, weights=box.saturated.sum((1, 2))))), *middle.index), ""
    measured = box.measured & seen[np.ix_(rows, columns)]
    number = measured.sum((1, 2))
    if not number.any():
        return (int(intake.survey.frames[intake.survey.profile.argmax()]), *middle.index), ""
    counts = np.where(measured, box.counts, 0)
    place = _middle_of_peak(counts.sum((1, 2)) / np.maximum(number, 1), frames)
    inside = (place, middle.index[0] - int(rows[0]), middle.index[1] - int(columns[0]))
    if middle.how == "spot":
        top = np.unravel_index(int(counts.argmax()), counts.shape)
        inside = brighter(counts, inside, tuple(int(at) for at in top))
    index = int(frames[inside[0]]), int(rows[inside[1]]), int(columns[inside[2]])
    share, cut = _cut(counts, (frames, rows, columns), intake.source.shape)
    if share > LOST_SHARE and intake.geometry.rocking_step_rad is not None:
        raise InputError(cut)
    return index, cut


def _cut(counts: np.ndarray, places: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> tuple[float, str]:
    """How much of a peak's maximum is left where scan or detector end, and a sentence where that is much.

    Parameters
    ----------
    counts : (f, h, w) around the peak, zero where unmeasured
    places : its indices along every axis of the stack
    shape : of the stack
    """
    worst, most = (0.0, ""), counts.max()
    if most < CUT_PHOTONS:
        return worst
    whats = ("the scan", "the detector's rows", "the detector's columns")
    cures = ("scan on in that direction", *("take a larger region of the detector, or turn it towards the peak",) * 2)
    for axis, (what, cure) in enumerate(zip(whats, cures, strict=True)):
        for side, name, place in ((0, "first", 0), (-1, "last", shape[axis] - 1)):
            share = float(counts.take(side, axis).max() / most) if places[axis][side] == place else 0.0
            if share > max(CUT_SHARE, worst[0]):
                text = f"the peak is cut by {what}, or lies beyond: {share:.0%} of its maximum is at the {name}; {cure}"
                worst = share, f"{text}, or if the middle is elsewhere, --centre FRAME,ROW,COLUMN"
    return worst


def _bright_frames(intake: Intake) -> np.ndarray:
    survey, count = intake.survey, intake.source.shape[0]
    brightest = survey.frames[np.argsort(-survey.profile, kind="stable")[:BRIGHT_FRAMES]]
    step = max(1, -(-count // max(len(survey.frames), 1)))
    around = brightest[:, None] + np.arange(-step, step + 1)
    return np.unique(np.clip(around, 0, count - 1))


def _middle_of_peak(level: np.ndarray, frames: np.ndarray) -> int:
    """Centre of mass of the run of neighbouring frames above half of the brightest, as an index."""
    top = low = high = int(level.argmax())
    joined = (np.diff(frames) == 1) & (np.minimum(level[1:], level[:-1]) > level[top] / 2)
    while low > 0 and joined[low - 1]:
        low -= 1
    while high < len(level) - 1 and joined[high]:
        high += 1
    run = level[low : high + 1]
    return low + round(float(np.average(np.arange(len(run)), weights=run))) if run.sum() > 0 else top
