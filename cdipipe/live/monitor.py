"""What others see of a live run, and what they may ask for; no torch here.

One :class:`Monitor` stands between the engine and whoever watches, such as a page. The engine calls the methods whose
names begin with ``note_``; a page calls the rest, from any thread::

    seen = monitor.snapshot()          # plain numbers and arrays of its own; nothing in it changes afterwards
    seen.received, seen.rate_in_hz, seen.object, seen.newest_hits[0].object
    monitor.pause(True)                # frames are read and counted, but not phased, until pause(False)
    monitor.ask(hit_threshold=3.5)     # from the next batch on
    monitor.ask(method="cdi_nn")       # loaded between two batches; seen.complaint says why where that fails
    monitor.wait(seen.revision, 0.1)   # sleeps until something new is there, or for so long

A snapshot holds the lock only while it copies. Counts are since the start; rates and latencies
of the snapshot are of the last seconds; :meth:`Monitor.latencies_s` is of the whole run.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from cdipipe.live.meters import Histogram, Rate

HISTORY = 512
"""Frames whose photons and R-factor are remembered."""
RECENT_LATENCIES = 4096
THUMBNAILS = 12


@dataclass(frozen=True)
class Hit:
    """A frame with an object: its number, hit score, R-factor (NaN: not known) and object (H, W) complex64."""

    number: int
    score: float
    r_factor: float
    object: np.ndarray


@dataclass(frozen=True)
class Controls:
    """What was asked for last; the engine takes it up between two batches.

    Parameters
    ----------
    is_paused : whether frames are left unphased for now
    method : name of the method that predicts
    hit_threshold : score from which a frame is a hit; None: every frame is phased
    """

    is_paused: bool = False
    method: str = ""
    hit_threshold: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """A live run at one moment.

    Parameters
    ----------
    state : ``starting``, ``running``, ``paused`` or ``ended``
    source, method : as the user named them; ``method`` is the one at work, ``controls.method`` the one asked for
    seconds : since the start
    received, phased, dropped, skipped, damaged : frames so far
        ``dropped`` left the full queue unphased; ``skipped`` were no hits, or came during a pause; ``damaged`` could
        not be read. ``received`` is the sum of phased, dropped, skipped, damaged and what is still under way.
    looked : those of the phased and skipped in which an object was looked for, which a pause does not do
    missing : frame numbers that never came
    queued, queue_size : frames waiting, and how many may
    rate_in_hz, rate_out_hz : frames per second of the last seconds
    latency_p50_s, latency_p99_s : arrival to result, of the last results; NaN before the first
    hit_rate : share of those looked at that were phased; NaN before the first
    numbers, photons, r_factors : (n,) of the newest results, oldest first; NaN where not known
    number, pattern, measured, object : of the newest result, (H, W) float32 photons, bool, complex64; None before it
    newest_hits : the last hits, newest first
    gaps : (first, last) frame numbers of the last gaps, newest last
    controls : what was asked for
    complaint : why something asked for was not done; empty: nothing to complain of
    revision : grows with every change, for :meth:`Monitor.wait`
    """

    state: str = "starting"
    source: str = ""
    method: str = ""
    seconds: float = 0.0
    received: int = 0
    phased: int = 0
    dropped: int = 0
    skipped: int = 0
    damaged: int = 0
    looked: int = 0
    missing: int = 0
    queued: int = 0
    queue_size: int = 0
    rate_in_hz: float = 0.0
    rate_out_hz: float = 0.0
    latency_p50_s: float = float("nan")
    latency_p99_s: float = float("nan")
    hit_rate: float = float("nan")
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    photons: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    r_factors: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))
    number: int = -1
    pattern: np.ndarray | None = None
    measured: np.ndarray | None = None
    object: np.ndarray | None = None
    newest_hits: tuple[Hit, ...] = ()
    gaps: tuple[tuple[int, int], ...] = ()
    controls: Controls = Controls()
    complaint: str = ""
    revision: int = 0


@dataclass(frozen=True)
class Results:
    """What became of a batch of frames, in arrays with one entry per frame.

    Parameters
    ----------
    numbers, series : (B,) int64
    arrived_s : (B,) float64, ``time.perf_counter`` when each frame came
    photons, scores, r_factors : (B,) float32; NaN where not known
    iterated : (B,) bool, which had iterations after the prediction
    patterns, measured : (B, H, W) float32 photons and bool, centred
    objects, supports : (B, H, W) complex64 and bool, centred
    """

    numbers: np.ndarray
    series: np.ndarray
    arrived_s: np.ndarray
    photons: np.ndarray
    scores: np.ndarray
    r_factors: np.ndarray
    iterated: np.ndarray
    patterns: np.ndarray
    measured: np.ndarray
    objects: np.ndarray
    supports: np.ndarray


class Monitor:
    """The state of one live run, see the module's text.

    Parameters
    ----------
    source, method : as the user named them
    hit_threshold : score from which a frame is a hit; None: every frame is phased
    queue_size : frames that may wait
    """

    def __init__(
        self, source: str = "", method: str = "", hit_threshold: float | None = None, queue_size: int = 0
    ) -> None:
        self._lock = threading.Condition()
        self._began = time.perf_counter()
        self._seen = Snapshot(
            source=source,
            method=method,
            queue_size=queue_size,
            controls=Controls(method=method, hit_threshold=hit_threshold),
        )
        self._rate_in, self._rate_out = Rate(), Rate()
        self._latencies, self._all_latencies = np.full(RECENT_LATENCIES, np.nan), Histogram()
        self._history = np.full((3, HISTORY), np.nan)
        self._results = 0
        self._newest_hits: deque[Hit] = deque(maxlen=THUMBNAILS)

    # ---- what a page calls

    def snapshot(self) -> Snapshot:
        """Everything there is to show."""
        now = time.perf_counter()
        with self._lock:
            seen = self._seen
            rates = [rate.hz(now, self._began) for rate in (self._rate_in, self._rate_out)]
            latencies = self._latencies[: min(self._results, RECENT_LATENCIES)].copy()
            history = np.roll(self._history, -(self._results % HISTORY), 1)
        numbers, photons, r_factors = history[:, ~np.isnan(history[0])]  # frame numbers are never NaN
        quantiles = np.quantile(latencies, [0.5, 0.99]).tolist() if latencies.size else [float("nan")] * 2
        return replace(
            seen,
            seconds=now - self._began,
            latency_p50_s=quantiles[0],
            latency_p99_s=quantiles[1],
            hit_rate=seen.phased / seen.looked if seen.looked else float("nan"),
            numbers=numbers.astype(np.int64),
            photons=photons.astype(np.float32),
            r_factors=r_factors.astype(np.float32),
            rate_in_hz=rates[0],
            rate_out_hz=rates[1],
        )

    def pause(self, is_paused: bool) -> None:
        """Leave frames unphased from now on, or go on."""
        self.ask(is_paused=is_paused)

    def ask(self, **wanted) -> None:
        """Ask for other :class:`Controls`, by the names of its fields."""
        with self._lock:
            self._change(controls=replace(self._seen.controls, **wanted), complaint="")

    def wait(self, revision: int, timeout_s: float) -> int:
        """Sleep until there is something newer than ``revision``, or for so long; gives the newest revision."""
        with self._lock:
            self._lock.wait_for(lambda: self._seen.revision != revision, timeout_s)
            return self._seen.revision

    @property
    def controls(self) -> Controls:
        """What was asked for last."""
        return self._seen.controls

    @property
    def state(self) -> str:
        """``starting``, ``running``, ``paused`` or ``ended``."""
        return self._seen.state

    def latencies_s(self, *shares: float) -> tuple[float, ...]:
        """Quantiles of the time from arrival to result, of the whole run."""
        with self._lock:
            return tuple(self._all_latencies.quantile(share) for share in shares)

    # ---- what the engine calls

    def note_state(self, state: str, method: str | None = None, complaint: str | None = None) -> None:
        """The run is in this state, with this method at work; ``complaint`` says what could not be done."""
        with self._lock:
            more = {"method": method} if method is not None else {}
            more |= {"complaint": complaint} if complaint is not None else {}
            self._change(state=state, **more)

    def note_refused(self, method: str, why: str) -> None:
        """This method was asked for and cannot be had: the one at work is asked for again, unless others are by now."""
        with self._lock:
            controls = self._seen.controls
            if controls.method == method:
                controls = replace(controls, method=self._seen.method)
            self._change(controls=controls, complaint=why)

    def note_queue_size(self, size: int) -> None:
        """So many frames may wait, as the memory allows."""
        with self._lock:
            self._change(queue_size=size)

    def note_received(self, count: int, queued: int, dropped: int = 0, damaged: int = 0) -> None:
        """So many frames came; so many were dropped from the full queue, and so many could not be read."""
        if not (count or dropped or damaged or queued != self._seen.queued):
            return
        with self._lock:
            self._rate_in.add(time.perf_counter(), count)
            seen = self._seen
            self._change(
                received=seen.received + count,
                queued=queued,
                dropped=seen.dropped + dropped,
                damaged=seen.damaged + damaged,
            )

    def note_gaps(self, missing: int, gaps: Iterable[tuple[int, int]]) -> None:
        """So many frame numbers never came, and these are the last gaps."""
        with self._lock:
            self._change(missing=missing, gaps=tuple(gaps))

    def note_skipped(self, count: int, queued: int, looked: bool = True) -> None:
        """So many frames were no hits; or came during a pause, and were not looked at."""
        with self._lock:
            seen = self._seen
            self._change(skipped=seen.skipped + count, looked=seen.looked + count * looked, queued=queued)

    def note_results(self, results: Results, queued: int) -> None:
        """Frames were phased and their results are on their way to the file; each of them counts as a hit."""
        count = len(results.numbers)
        if not count:
            return
        now = time.perf_counter()
        latencies = now - results.arrived_s
        last = count - 1
        hits = [_hit(results, index) for index in range(max(0, count - THUMBNAILS), count)]
        newest = {
            "number": int(results.numbers[last]),
            "pattern": results.patterns[last].copy(),
            "measured": results.measured[last].copy(),
            "object": results.objects[last].copy(),
        }
        with self._lock:
            places = self._results + np.arange(count)
            self._latencies[places % RECENT_LATENCIES] = latencies
            self._history[:, places % HISTORY] = results.numbers, results.photons, results.r_factors
            self._results += count
            self._all_latencies.add(latencies)
            self._rate_out.add(now, count)
            self._newest_hits.extendleft(hits)
            seen = self._seen
            counts = {"phased": seen.phased + count, "looked": seen.looked + count, "queued": queued}
            self._change(**counts, **newest, newest_hits=tuple(self._newest_hits))

    def _change(self, **changes) -> None:
        self._seen = replace(self._seen, revision=self._seen.revision + 1, **changes)
        self._lock.notify_all()


def _hit(results: Results, index: int) -> Hit:
    scores = float(results.scores[index]), float(results.r_factors[index])
    return Hit(int(results.numbers[index]), *scores, results.objects[index].copy())
