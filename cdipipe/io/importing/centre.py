"""Where the zero frequency (or the Bragg peak) of an import is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.io.importing.frames import Part
from cdipipe.io.importing.hot import of_survey, summed
from cdipipe.io.importing.middle import Middle, find_middle

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake

BOX_HALF_PX = 2
BRIGHT_FRAMES = 8
"""Of a volume, the frames with most photons and those beside them are looked at for the slice of the peak."""


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
    survey = intake.survey
    hot = of_survey(survey)
    often = survey.times >= max(int(survey.times.max()), 1) / 2
    seen = often & (survey.saturated == 0) & ~hot.always & ~hot.once
    if not seen.any():
        seen = often
    middle = find_middle(summed(survey), seen)
    how = f"{middle.why}; turned by 180 degrees about it the pattern agrees to {middle.agreement:.2f}: "
    index = middle.index if intake.rank == 2 else (_slice(intake, middle.index), *middle.index)
    return Centre(index, how + middle.confidence, middle.confidence != "not sure", _note(middle))


def _note(middle: Middle) -> str:
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


def _slice(intake: Intake, place: tuple[int, int]) -> int:
    """The slice in which a small box around the middle has most counts."""
    frames = _bright_frames(intake)
    height, width = intake.source.shape[1:]
    rows, columns = (
        np.arange(max(at - BOX_HALF_PX, 0), min(at + BOX_HALF_PX + 1, size))
        for at, size in zip(place, (height, width), strict=True)
    )
    box = intake.read(Part(frames, rows, columns))
    if box.saturated is not None and box.saturated.any():
        filled = box.saturated.sum((1, 2))
        return int(round(float(np.average(frames, weights=filled))))
    seen = box.measured.sum((1, 2))
    if not seen.any():
        return int(intake.survey.frames[intake.survey.profile.argmax()])
    level = np.where(seen > 0, (box.counts * box.measured).sum((1, 2)) / np.maximum(seen, 1), 0)
    return int(frames[_middle_of_peak(level)])


def _bright_frames(intake: Intake) -> np.ndarray:
    survey, count = intake.survey, intake.source.shape[0]
    brightest = survey.frames[np.argsort(-survey.profile, kind="stable")[:BRIGHT_FRAMES]]
    step = max(1, -(-count // max(len(survey.frames), 1)))
    around = brightest[:, None] + np.arange(-step, step + 1)
    return np.unique(np.clip(around, 0, count - 1))


def _middle_of_peak(level: np.ndarray) -> int:
    """Centre of mass of the run of slices above half of the brightest."""
    top = int(level.argmax())
    low = high = top
    while low > 0 and level[low - 1] > level[top] / 2:
        low -= 1
    while high < len(level) - 1 and level[high + 1] > level[top] / 2:
        high += 1
    if not level[low : high + 1].sum() > 0:
        return top
    return round(float(np.average(np.arange(low, high + 1), weights=level[low : high + 1])))
