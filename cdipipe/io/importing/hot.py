"""Pixels that count without light: found, named, and masked where that is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from cdipipe.io.importing.frames import Frames, Part
from cdipipe.io.importing.lone import HotPixels, find_hot, stands_out
from cdipipe.io.importing.middle import dark_patch
from cdipipe.io.importing.symmetry import find_symmetry

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake
    from cdipipe.io.importing.survey import Survey

WORST_NAMED = 3
BEAM_PX = 1
"""A lone pixel this near to the centre of symmetry is the direct beam."""
BEAM_AGREEMENT = 0.4


def of_survey(survey: Survey) -> HotPixels:
    """Hot pixels of the frames looked at, without the direct beam and the rim of a beam stop that was not masked."""
    survey.hot = survey.hot or _look(survey)
    return survey.hot


def _look(survey: Survey) -> HotPixels:
    maps, times = (survey.total, survey.peak, survey.least), survey.times
    hot = find_hot(*maps, times)
    lone = hot.always | hot.once
    if not lone.any():
        return hot
    if (stop := dark_patch(summed(survey), (times > 0) & ~lone)) is not None:
        times = times * ~stop
        hot = find_hot(*maps, times)
        lone = hot.always | hot.once
    seen = (times > 0) & (survey.saturated == 0) & ~lone
    if not seen.any():
        return hot
    centre = find_symmetry(summed(survey), seen)
    if centre.agreement < BEAM_AGREEMENT:
        return hot
    beam = tuple(slice(max(at - BEAM_PX, 0), at + BEAM_PX + 1) for at in centre.index)
    always, once = hot.always.copy(), hot.once.copy()
    always[beam] = once[beam] = False
    return HotPixels(always, once, hot.too_many)


def summed(survey: Survey) -> np.ndarray:
    """(H, W) counts of all frames looked at; of pixels measured in some only, their mean there in every frame."""
    return survey.mean * max(int(survey.times.max()), 1)


def prepare(intake: Intake) -> Apply | None:
    """Tell of hot pixels, and mask them with ``--hot-pixels mask``."""
    wanted = intake.options.hot_pixels
    if wanted == "keep":
        return None
    survey = intake.survey
    hot = of_survey(survey)
    if hot.too_many:
        share = 100 * hot.too_many / hot.always.size
        intake.account.note(
            f"{hot.too_many} pixels ({share:.1f} %) are far above all their neighbours: too many to be hot pixels. "
            "Are these photon counts, or another unit?"
        )
    if not (hot.always.any() or hot.once.any()):
        return None
    told = describe(hot, survey)
    intake.account.facts["hot_pixels"] = {"always": _places(hot.always), "once": _places(hot.once)}
    if wanted == "warn":
        intake.account.note(f"{told}; --hot-pixels mask takes them out, --hot-pixels keep is silent")
        return None
    intake.account.say("masked", told)
    return _masking(hot)


def describe(hot: HotPixels, survey: Survey) -> str:
    """How many pixels are hot, and where the worst are."""
    several = len(survey.frames) > 1
    parts = []
    for where, image, what in (
        (hot.always, survey.mean, "counts per frame" if several else "counts"),
        (hot.once, survey.peak, "counts in single frames only (cosmic rays?)"),
    ):
        if not where.any():
            continue
        places = np.argwhere(where)
        worst = places[np.argsort([-image[tuple(place)] for place in places], kind="stable")][:WORST_NAMED]
        named = ", ".join(f"({row}, {column}) with {image[row, column]:.6g}" for row, column in worst)
        number = f"{len(places)} hot pixel{'s' if len(places) > 1 else ''}"
        parts.append(f"{number}: {'the worst ' if len(places) > WORST_NAMED else ''}{named} {what}")
    return "; ".join(parts)


def _places(where: np.ndarray) -> list[list[int]]:
    return np.argwhere(where).tolist()


def _masking(hot: HotPixels) -> Apply:
    def apply(frames: Frames, part: Part) -> None:
        frames.mask(part.cut(hot.always), "hot")
        suspects = part.cut(hot.once)
        if suspects.any():
            frames.mask(stands_out(frames.counts, frames.measured, suspects), "cosmic")

    return apply
