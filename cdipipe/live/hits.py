"""Which frames hold an object: photons above those of empty frames, in standard deviations.

A frame's score is ``(n - m) / s``. ``n`` are its photons on measured pixels. ``m`` is the 20 % quantile of the photons
of the last 512 frames; it belongs to the empty ones as long as at least a quarter of the frames are empty. ``s`` is the
distance between that quantile and the 5 % quantile, and at least ``1 + sqrt(m)``, the noise of counting. An empty
frame scores between -1 and 2 mostly, and hardly ever above 5. No truth and no dark run is needed. Where nearly every
frame is a hit, no threshold is wanted.
"""

from __future__ import annotations

import numpy as np

REMEMBERED = 512
LEAST_FRAMES = 16
"""Before so many were seen every frame with photons counts as a hit: nothing is lost."""
EMPTY, EMPTIEST = 0.20, 0.05
UNKNOWN = np.float32(np.inf)


class HitFinder:
    """Scores of frames by their photons, with a memory of the last frames."""

    def __init__(self) -> None:
        self._photons, self._seen = np.zeros(REMEMBERED), 0

    def score(self, photons: np.ndarray) -> np.ndarray:
        """Scores (B,) float32 of frames with these photons (B,); infinite while too few were seen."""
        count = len(photons)
        self._photons[(self._seen + np.arange(count)) % REMEMBERED] = photons
        self._seen += count
        if self._seen < LEAST_FRAMES:
            return np.where(photons > 0, UNKNOWN, np.float32(0))
        level, lowest = np.quantile(self._photons[: min(self._seen, REMEMBERED)], [EMPTY, EMPTIEST])
        spread = max(level - lowest, 1 + np.sqrt(max(level, 0.0)))
        return ((photons - level) / spread).astype(np.float32)
