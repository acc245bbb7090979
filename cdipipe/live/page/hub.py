"""What is sent to the browsers: the newest message of each kind, made once for all of them."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Sequence

import numpy as np

from cdipipe.live.monitor import Monitor, Snapshot
from cdipipe.live.page.history import COLUMNS, History
from cdipipe.live.page.messages import Method, Pause, Threshold, pack
from cdipipe.live.page.pictures import LARGEST_PX, THUMBNAIL_PX, Frame, object_bytes, pattern_bytes

PERIOD_S = 0.1
HITS_PERIOD_S = 0.5
HISTORY_PERIOD_S = 0.5
SHARE, LONGEST_S = 9, 1.0
"""Pictures take a tenth of a core at most: large ones are made less often, down to one a second."""
SHOWN_GAPS = 5

logger = logging.getLogger("cdipipe")


class Hub:
    """The newest messages, kept fresh while somebody looks.

    Parameters
    ----------
    monitor : of the run
    methods : that may be asked for
    """

    def __init__(self, monitor: Monitor, methods: Sequence[str] = ()) -> None:
        self.monitor = monitor
        self.methods = tuple(methods)
        self.latest: dict[str, bytes] = {}
        """Kind -> message; another object for every new one."""
        self.watchers = 0
        self.has_ended = False
        self._run = secrets.token_hex(8)
        self._history = History()
        self._frame, self._hits_frame = Frame(), Frame()
        self._revision = -1
        self._hit_numbers: tuple[int, ...] = ()

    @property
    def is_watched_to_the_end(self) -> bool:
        """Whether the run has ended and somebody has yet to see it."""
        return self.watchers > 0 and self.monitor.state == "ended"

    async def keep_fresh(self) -> None:
        """Make messages until cancelled; what goes wrong with one is told once and spoils neither run nor page."""
        loop, told, turn = asyncio.get_running_loop(), set(), 0
        while True:
            began = loop.time()
            try:
                self.refresh(turn)
            except Exception as error:
                if (what := f"{type(error).__name__}: {error}") not in told:
                    told.add(what)
                    logger.warning("the page could not be brought up to date: %s", what)
            turn += 1
            spent = loop.time() - began
            await asyncio.sleep(max(PERIOD_S - spent, min(SHARE * spent, LONGEST_S)))

    def refresh(self, turn: int = 0) -> None:
        """Make the messages that are due at this turn, one turn a :data:`PERIOD_S`."""
        is_history_due = turn % round(HISTORY_PERIOD_S / PERIOD_S) == 0
        if not (self.watchers or is_history_due):
            return
        seen = self.monitor.snapshot()
        is_last = seen.state == "ended" and not self.has_ended
        is_history_due |= is_last
        if is_history_due:
            self._history.add(seen)
        if not self.watchers:
            self.latest.clear()  # whoever comes gets what is new then
            return
        if seen.revision != self._revision or "now" not in self.latest or is_history_due:
            self.latest["now"] = self._now(seen)
            self._revision = seen.revision
        if is_last or turn % round(HITS_PERIOD_S / PERIOD_S) == 1 or "hits" not in self.latest:
            numbers = tuple(hit.number for hit in seen.newest_hits)
            if numbers != self._hit_numbers or "hits" not in self.latest:
                self.latest["hits"], self._hit_numbers = self._hits(seen), numbers
        if is_history_due or "history" not in self.latest:
            self.latest["history"] = pack("history", {"columns": COLUMNS}, {"rows": self._history.rows.T})
        self.has_ended = seen.state == "ended"

    def do(self, wish: Pause | Method | Threshold) -> str:
        """Ask the engine for it; gives why not, or nothing."""
        if isinstance(wish, Pause):
            self.monitor.pause(wish.is_paused)
        elif isinstance(wish, Threshold):
            self.monitor.ask(hit_threshold=wish.hit_threshold)
        elif isinstance(wish, Method):
            if wish.method not in self.methods:
                return f"there is no method {wish.method!r} here"
            self.monitor.ask(method=wish.method)
        return ""

    def _now(self, seen: Snapshot) -> bytes:
        text = {name: getattr(seen, name) for name in _SENT}
        text |= {
            "run": self._run,
            "methods": self.methods,
            "photons": seen.photons[-1] if seen.photons.size else None,
            "r_factor": seen.r_factors[-1] if seen.r_factors.size else None,
            "gaps": seen.gaps[-SHOWN_GAPS:],
            "wanted": {
                "is_paused": seen.controls.is_paused,
                "method": seen.controls.method,
                "hit_threshold": seen.controls.hit_threshold,
            },
        }
        arrays: dict[str, np.ndarray] = {}
        if seen.pattern is not None:
            arrays["pattern"], text["pattern"] = pattern_bytes(seen.pattern, seen.measured)
            text["pattern"]["shape"] = seen.pattern.shape
            shown = self._frame.cut(seen.object, seen.method)
            arrays["amplitude"], arrays["phase"], text["object"] = object_bytes(shown, LARGEST_PX)
            text["object"]["shape"] = shown.shape
        return pack("now", text, arrays)

    def _hits(self, seen: Snapshot) -> bytes:
        listed, amplitudes, phases = [], [], []
        same = [hit for hit in seen.newest_hits if hit.object.shape == seen.newest_hits[0].object.shape]
        for hit in same:
            self._hits_frame.cut(hit.object, seen.method)
        for hit in same:
            shown = self._hits_frame.cut(hit.object, seen.method)
            amplitude, phase, _ = object_bytes(shown, THUMBNAIL_PX)
            amplitudes.append(amplitude)
            phases.append(phase)
            listed.append({"number": hit.number, "score": hit.score, "r_factor": hit.r_factor})
        arrays = {"amplitudes": np.array(amplitudes), "phases": np.array(phases)} if same else {}
        return pack("hits", {"hits": listed}, arrays)


_SENT = (
    *("state", "source", "method", "seconds", "received", "phased", "dropped", "skipped", "damaged", "missing"),
    *("queued", "queue_size", "rate_in_hz", "rate_out_hz", "latency_p50_s", "latency_p99_s", "hit_rate", "number"),
    "complaint",
)
