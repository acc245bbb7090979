"""Frames on their way: one of them, the queue where they wait, and the numbers that never came."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

WhenFull = Literal["drop-oldest", "block"]


def batch_size(count: int) -> int:
    """The largest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... that is no larger.

    Libraries of convolutions make code for every size of a batch and keep that of a limited number of them.
    """
    power = 1 << (count.bit_length() - 1)
    return power + power // 2 if power > 1 and count >= power + power // 2 else power


@dataclass(slots=True)
class Frame:
    """One frame of a detector.

    Parameters
    ----------
    number : as the source counts them, from any start
    arrived_s : ``time.perf_counter`` when it was here
    values : (H, W) numbers of the detector, a function that unpacks them, or None for a frame that cannot be read
    series : counts up where the source begins to count frames anew
    fault : what is wrong with a frame without values
    measured : (H, W) bool, which pixels of this frame can be trusted, where they differ from frame to frame
    """

    number: int
    arrived_s: float
    values: np.ndarray | Callable[[], np.ndarray] | None
    series: int = 0
    fault: str = ""
    measured: np.ndarray | None = None

    def read(self) -> np.ndarray:
        """The numbers; raises ValueError where they cannot be had."""
        if self.values is None:
            raise ValueError(self.fault or "no values")
        return self.values() if callable(self.values) else self.values


class FrameQueue:
    """A bounded queue with a policy for when it is full; counts what went in and what fell out.

    Parameters
    ----------
    size : frames that may wait
    when_full : ``drop-oldest`` keeps up with the detector, ``block`` makes the source wait
    """

    def __init__(self, size: int, when_full: WhenFull):
        self.size, self.when_full = size, when_full
        self._frames: deque[Frame] = deque()
        self._changed = threading.Condition()
        self._received = self._dropped = self._awaited = 0
        self._ended = self._given_up = False

    def __len__(self) -> int:
        return len(self._frames)

    def limit(self, size: int) -> None:
        """Let no more than so many wait from now on."""
        self.size = max(1, min(self.size, size))

    def put(self, frame: Frame) -> None:
        """Add a frame; waits for a place, or makes one."""
        with self._changed:
            self._received += 1
            if self.when_full == "block":
                self._changed.wait_for(lambda: len(self._frames) < self.size or self._given_up)
            while len(self._frames) >= self.size:
                self._frames.popleft()
                self._dropped += 1
            self._frames.append(frame)
            if len(self._frames) >= self._awaited:
                self._changed.notify_all()

    def take(self, count: int, wait_s: float, patience_s: float = 0.1) -> list[Frame] | None:
        """The next frames: up to ``count``, or what is there ``wait_s`` after the first of them arrived.

        Returns
        -------
        list of Frame, as many as :func:`batch_size` allows, empty if none came within ``patience_s``; None at the end
        """
        with self._changed:
            self._wait(1, patience_s)
            if not self._frames:
                return None if self._ended else []
            left = self._frames[0].arrived_s + wait_s - time.perf_counter()
            if left > 0:
                self._wait(count, left)
            here = min(count, len(self._frames))  # another worker may have been faster
            taken = [self._frames.popleft() for _ in range(batch_size(here) if here else 0)]
            self._changed.notify_all()
            return taken

    def _wait(self, count: int, timeout_s: float) -> None:
        """Sleep until so many wait; whoever puts them wakes us then and not before."""
        self._awaited = min(count, self.size)
        self._changed.wait_for(lambda: len(self._frames) >= min(count, self.size) or self._ended, timeout_s)

    def end(self) -> None:
        """No more frames will come; those that wait are still taken."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def give_up(self) -> None:
        """Whoever waits for a place waits no longer."""
        with self._changed:
            self._given_up = True
            self._changed.notify_all()

    def tally(self) -> tuple[int, int]:
        """Frames received and dropped since this was last asked for."""
        with self._changed:
            found = self._received, self._dropped
            self._received = self._dropped = 0
            return found


class GapWatch:
    """Which frame numbers never came; those that come late are found again.

    Parameters
    ----------
    kept : gaps that are remembered one by one; of older ones only the count
    """

    def __init__(self, kept: int = 100):
        self.missing, self.gaps = 0, deque(maxlen=kept)
        self._series: int | None = None
        self._expected = 0

    def see(self, series: int, number: int) -> bool:
        """Note a frame; says whether anything changed."""
        if series != self._series:
            self._series, self._expected = series, number
        expected = self._expected
        if number < expected:
            return self._found(number)
        self._expected = number + 1
        if number == expected:
            return False
        self.gaps.append((expected, number - 1))
        self.missing += number - expected
        return True

    def _found(self, number: int) -> bool:
        for index, (first, last) in enumerate(self.gaps):
            if first <= number <= last:
                parts = [part for part in ((first, number - 1), (number + 1, last)) if part[0] <= part[1]]
                others = [*list(self.gaps)[:index], *parts, *list(self.gaps)[index + 1 :]]
                self.gaps = deque(others, maxlen=self.gaps.maxlen)
                self.missing -= 1
                return True
        return False
