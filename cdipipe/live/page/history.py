"""The whole run in a few hundred rows: when they are full, neighbours are joined, and rows take twice as long."""

from __future__ import annotations

import warnings

import numpy as np

from cdipipe.live.monitor import Snapshot

COLUMNS = (
    *("seconds", "r_low", "r_middle", "r_high", "photons_low", "photons_middle", "photons_high"),
    *("in_hz", "out_hz", "dropped_hz", "p50_s", "p99_s", "hit_rate", "queued"),
)
ROWS = 600
QUANTILES = (0.1, 0.5, 0.9)
SHORTEST_S = 0.2


class History:
    """Rows of :data:`COLUMNS`, NaN where not known.

    ``r_`` and ``photons_`` are the quantiles 0.1, 0.5 and 0.9 of the results that came since the row before, of the
    newest 512 at most; rates and hit rate are since the row before; latencies are the monitor's.

    Parameters
    ----------
    size : even number of rows that are never exceeded
    """

    def __init__(self, size: int = ROWS) -> None:
        self._size = size
        self._rows: list[np.ndarray] = []
        self._waiting: list[np.ndarray] = []
        self._stride = 1
        self._last = Snapshot()

    @property
    def rows(self) -> np.ndarray:
        """(n, columns) float32, oldest first."""
        return np.array(self._rows, np.float32).reshape(-1, len(COLUMNS))

    def add(self, seen: Snapshot) -> None:
        """Note how the run stands; too soon after the note before, its rates would mean nothing, and it is left out."""
        if seen.seconds - self._last.seconds < SHORTEST_S:
            return
        self._waiting.append(_row(self._last, seen))
        self._last = seen
        if len(self._waiting) < self._stride:
            return
        self._rows.append(_mean(np.array(self._waiting)))
        self._waiting = []
        if len(self._rows) >= self._size:
            pairs = np.array(self._rows).reshape(-1, 2, len(COLUMNS))
            self._rows = [_mean(pair) for pair in pairs]
            self._stride *= 2


def _row(last: Snapshot, seen: Snapshot) -> np.ndarray:
    seconds = seen.seconds - last.seconds
    fresh = min(seen.phased - last.phased, len(seen.numbers))
    looked = seen.looked - last.looked
    return np.array(
        [
            seen.seconds,
            *_quantiles(seen.r_factors[len(seen.r_factors) - fresh :]),
            *_quantiles(seen.photons[len(seen.photons) - fresh :]),
            *((after - before) / seconds for after, before in _counts(last, seen)),
            *((seen.latency_p50_s, seen.latency_p99_s) if fresh else (np.nan, np.nan)),
            (seen.phased - last.phased) / looked if looked else np.nan,
            seen.queued,
        ]
    )


def _counts(last: Snapshot, seen: Snapshot) -> list[tuple[int, int]]:
    return [(seen.received, last.received), (seen.phased, last.phased), (seen.dropped, last.dropped)]


def _quantiles(values: np.ndarray) -> np.ndarray:
    known = values[np.isfinite(values)]
    return np.quantile(known, QUANTILES) if known.size else np.full(len(QUANTILES), np.nan)


def _mean(rows: np.ndarray) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # NaN where none of them is known
        return np.nanmean(rows, axis=0)
