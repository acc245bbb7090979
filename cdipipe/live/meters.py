"""Rates and latencies of a run of any length, in constant memory."""

from __future__ import annotations

from collections import deque

import numpy as np

RATE_WINDOW_S = 2.0
BINS_PER_DECADE, SHORTEST_S, DECADES = 200, 1e-5, 9
"""Of the histogram of latencies: its bins are 1.2 % wide, and quantiles are right to a bin."""


class Rate:
    """Events per second in a sliding window."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def add(self, now: float, count: int) -> None:
        """Note ``count`` events at ``now``."""
        if self._marks and now - self._marks[-1][0] < 0.02:  # at most 50 marks a second
            self._marks[-1] = self._marks[-1][0], self._marks[-1][1] + count
        else:
            self._marks.append((now, count))
        self._forget(now)

    def hz(self, now: float, began: float) -> float:
        """The rate at ``now`` of a run that began at ``began``."""
        self._forget(now)
        window = min(RATE_WINDOW_S, max(now - began, 1e-3))
        return sum(count for _, count in self._marks) / window

    def _forget(self, now: float) -> None:
        while self._marks and now - self._marks[0][0] > RATE_WINDOW_S:
            self._marks.popleft()


class Histogram:
    """Times on a logarithmic scale: quantiles of any number of them in constant memory."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS_PER_DECADE * DECADES, np.int64)

    def add(self, seconds: np.ndarray) -> None:
        """Count these times."""
        places = np.log10(np.maximum(seconds, SHORTEST_S) / SHORTEST_S) * BINS_PER_DECADE
        self.counts += np.bincount(
            np.minimum(places.astype(np.int64), self.counts.size - 1), minlength=self.counts.size
        )

    def quantile(self, share: float) -> float:
        """The time below which so large a share is; NaN without any."""
        if not (total := int(self.counts.sum())):
            return float("nan")
        place = int(np.searchsorted(np.cumsum(self.counts), share * total))
        return float(SHORTEST_S * 10 ** ((place + 0.5) / BINS_PER_DECADE))
