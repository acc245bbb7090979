"""Which numbers of a file are no photon counts: NaN, infinite, negative, and the marks that detectors write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.io.importing.frames import Frames, Part

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake


@dataclass(frozen=True)
class Marks:
    """What is no photon count, decided once for a whole stack.

    Parameters
    ----------
    keep_negative : negative counts are noise and stay
    """

    keep_negative: bool = False

    def to_frames(self, raw: np.ndarray, part: Part) -> Frames:
        """Counts in float32, with all that is no photon count masked by its reason and set to 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            counts = np.array(raw, dtype=np.float32, order="C")
        frames = Frames(counts, np.ones(counts.shape, dtype=bool))
        mask_unphysical(frames, self.keep_negative)
        return frames


def find_marks(intake: Intake) -> Marks:
    """The marks of a stack."""
    return Marks(keep_negative=bool(intake.found.hints.get("signed")))


def mask_unphysical(frames: Frames, keep_negative: bool = False) -> None:
    """Mask NaN, infinite and (unless kept) negative counts and set them to 0."""
    not_finite = ~np.isfinite(frames.counts)
    frames.mask(not_finite, "not_finite")
    frames.counts[not_finite] = 0
    if not keep_negative:
        negative = frames.counts < 0
        frames.mask(negative, "negative")
        frames.counts[negative] = 0
