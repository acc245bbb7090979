"""A first look over the frames: maps that hot pixels, background and centre are found from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.io.importing.frames import Frames, whole_frames
from cdipipe.progress import progress

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake
    from cdipipe.io.importing.lone import HotPixels

SURVEY_BYTES = 2**30
LEAST_FRAMES = 32


@dataclass
class Survey:
    """Maps over the frames that were looked at; counts on measured pixels only.

    Parameters
    ----------
    frames : (K,) numbers of the frames looked at
    complete : these are all frames
    total, peak, least : (H, W) float64, float32, float32: sum, largest and smallest count
    times : (H, W) how often a pixel was measured
    saturated : (H, W) how often it was saturated
    profile : (K,) photons of every frame
    photons_read : photons in the files, before pixels were masked or corrected
    hot : hot pixels, once they have been looked for
    """

    frames: np.ndarray
    complete: bool
    total: np.ndarray
    peak: np.ndarray
    least: np.ndarray
    times: np.ndarray
    saturated: np.ndarray
    profile: np.ndarray
    photons_read: float = 0.0
    hot: HotPixels | None = None

    @property
    def mean(self) -> np.ndarray:
        """(H, W) mean count of the times that a pixel was measured, 0 where it never was."""
        return self.total / np.maximum(self.times, 1)

    def add(self, frames: Frames, first: int) -> None:
        """Take in a block of frames; ``first`` is its place among those looked at."""
        whole = bool(frames.measured.all())
        counts = frames.counts if whole else np.where(frames.measured, frames.counts, 0)
        self.total += counts.sum(0, dtype=np.float64)
        np.maximum(self.peak, (counts if whole else np.where(frames.measured, counts, -np.inf)).max(0), out=self.peak)
        np.minimum(self.least, (counts if whole else np.where(frames.measured, counts, np.inf)).min(0), out=self.least)
        self.times += len(counts) if whole else frames.measured.sum(0)
        if frames.saturated is not None:
            self.saturated += frames.saturated.sum(0)
        self.profile[first : first + len(counts)] = counts.reshape(len(counts), -1).sum(1, dtype=np.float64)

    def finish(self) -> None:
        """Pixels that were never measured have 0 everywhere."""
        self.peak = np.where(self.times > 0, self.peak, 0)
        self.least = np.where(self.times > 0, self.least, 0)


def choose_sample(intake: Intake, budget_bytes: int = SURVEY_BYTES) -> np.ndarray:
    """Frames to look at: all that were written, or as many of them, evenly spread, as the budget allows."""
    frames = np.flatnonzero(intake.source.present())
    most = max(LEAST_FRAMES, budget_bytes // intake.source.frame_bytes)
    if len(frames) <= most:
        return frames
    return frames[np.linspace(0, len(frames) - 1, most).round().astype(int)]


def make_survey(intake: Intake) -> Survey:
    """Look over the frames, block by block."""
    _, height, width = intake.source.shape
    sample = choose_sample(intake)
    maps = [np.zeros((height, width), kind) for kind in (np.float64, np.float32, np.float32, np.int64, np.int64)]
    maps[1][:], maps[2][:] = -np.inf, np.inf
    complete = len(sample) == np.count_nonzero(intake.source.present())
    survey = Survey(sample, complete, *maps, profile=np.zeros(len(sample)))
    with progress(len(sample), "looking at frames") as bar:
        for block in intake.blocks(sample):
            frames = intake.read(whole_frames(intake.source.shape, block))
            survey.add(frames, bar.count)
            bar.update(len(block))
    survey.finish()
    survey.photons_read = intake.take_tally()
    return survey
