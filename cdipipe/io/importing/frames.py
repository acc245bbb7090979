"""Counts on their way to a measurement, block by block, and which part of the stack a block is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass
class Frames:
    """Counts on their way to a measurement.

    Parameters
    ----------
    counts : (H, W), (N, H, W) or (D, H, W) float32
    measured : bool, the shape of ``counts``
    masked : pixels masked so far, by reason
    saturated : bool, the shape of ``counts``: which of the masked pixels had too many photons; None: not asked for
    """

    counts: np.ndarray
    measured: np.ndarray
    masked: dict[str, int] = field(default_factory=dict)
    saturated: np.ndarray | None = None

    def mask(self, bad: np.ndarray, reason: str) -> None:
        """Stop trusting the pixels where ``bad`` (of the shape of the counts or of one frame)."""
        newly = self.measured & bad
        self.masked[reason] = self.masked.get(reason, 0) + int(np.count_nonzero(newly))
        self.measured &= ~bad


@dataclass(frozen=True)
class Part:
    """A box of a stack (N, H, W): which frames, rows and columns, as index arrays in the order they are wanted."""

    frames: np.ndarray
    rows: np.ndarray
    columns: np.ndarray

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.frames), len(self.rows), len(self.columns)

    def cut(self, array: np.ndarray) -> np.ndarray:
        """This part of an array (H, W) or (N, H, W)."""
        if array.ndim == 3:
            array = array[as_slice(self.frames)]
        return array[..., as_slice(self.rows), :][..., as_slice(self.columns)]

    def of_frames(self, frames: np.ndarray) -> Part:
        """The same rows and columns of other frames."""
        return Part(np.atleast_1d(frames), self.rows, self.columns)


def whole_frames(shape: tuple[int, int, int], frames: np.ndarray | None = None) -> Part:
    """All rows and columns of some (or all) frames of a stack of this shape."""
    count, height, width = shape
    return Part(np.arange(count) if frames is None else np.atleast_1d(frames), np.arange(height), np.arange(width))


def as_slice(numbers: np.ndarray) -> slice | np.ndarray:
    """Consecutive numbers as a slice, which copies nothing; others as they are."""
    if len(numbers) and int(numbers[-1]) - int(numbers[0]) == len(numbers) - 1 and (np.diff(numbers) == 1).all():
        return slice(int(numbers[0]), int(numbers[-1]) + 1)
    return numbers


def runs(numbers: np.ndarray) -> list[np.ndarray]:
    """Numbers in their order, cut into stretches of consecutive ones."""
    return np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1) if len(numbers) else []
