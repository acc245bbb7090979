"""What becomes of a batch of frames: counts, hits, objects. The first frame with counts decides how.

Several workers use one :class:`Batches`; each keeps the buffer that it gets back for its next batch.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import numpy as np

from cdipipe.errors import InputError
from cdipipe.live.corrections import AsTheyAre, Corrections, options_like
from cdipipe.live.frames import Frame, FrameQueue
from cdipipe.live.hits import HitFinder
from cdipipe.live.monitor import Monitor, Results
from cdipipe.live.phaser import Phaser
from cdipipe.live.plan import Plan
from cdipipe.live.registry import FrameSource

logger = logging.getLogger("cdipipe")


class Batches:
    """Frames to results.

    Parameters
    ----------
    source : FrameSource
        Its template, mask and geometry count.
    plan : Plan
    queue : where frames wait; its counts are told to the monitor
    monitor : shows what is done, and says which method and threshold are asked for
    begun : called once, with the first frame, its corrections and the method, before anything is phased
    """

    def __init__(
        self,
        source: FrameSource,
        plan: Plan,
        queue: FrameQueue,
        monitor: Monitor,
        begun: Callable[[np.ndarray, Corrections | AsTheyAre, Phaser], None],
    ):
        self.source, self.plan, self.monitor = source, plan, monitor
        self._queue, self._begun = queue, begun
        self._begin_lock, self._count_lock = threading.Lock(), threading.Lock()
        self._corrections: Corrections | AsTheyAre | None = None
        self._phaser: Phaser | None = None
        self._first_method = monitor.controls.method
        self._hits = HitFinder()

    def flush_counts(self, damaged: int = 0) -> None:
        """Tell the monitor what has come since, and of how many frames could not be read."""
        with self._count_lock:
            received, dropped = self._queue.tally()
            self.monitor.note_received(received, len(self._queue), dropped, damaged)

    def process(self, frames: list[Frame], buffer: np.ndarray | None) -> tuple[Results | None, np.ndarray | None]:
        """Phase a batch.

        Parameters
        ----------
        frames : of the batch
        buffer : that the last batch left, or None

        Returns
        -------
        results of its hits, None without any; and the buffer that the next batch may use

        Raises
        ------
        InputError   the first frame does not allow what was asked for
        """
        controls = self.monitor.controls
        if controls.is_paused:
            self._set_state("paused")
            self.monitor.note_skipped(len(frames), len(self._queue), looked=False)
            return None, buffer
        self._set_state("running")
        good, buffer = self._unpack(frames, buffer)
        if not good:
            return None, buffer
        phaser = self._phaser_of(controls.method)
        counts, measured = self._corrections(buffer[: len(good)])
        if any(frame.measured is not None for frame in good):
            measured = measured & np.stack([np.asarray(frame.measured, bool) for frame in good])
            counts = counts * measured
        photons = counts.sum((1, 2), dtype=np.float64)
        with self._count_lock:
            scores = self._hits.score(photons)
        chosen = photons > 0
        if controls.hit_threshold is not None:
            chosen &= scores >= controls.hit_threshold
        if not chosen.all():
            self.monitor.note_skipped(int((~chosen).sum()), len(self._queue))
            good = [frame for frame, taken in zip(good, chosen, strict=True) if taken]
            counts, measured, photons, scores = counts[chosen], measured[chosen], photons[chosen], scores[chosen]
        if not good:
            return None, buffer
        return _results(good, photons, scores, counts, measured, *phaser(counts, measured)), buffer

    def _unpack(self, frames: list[Frame], buffer: np.ndarray | None) -> tuple[list[Frame], np.ndarray | None]:
        """Frames that can be read, their numbers in the first rows of the buffer."""
        good = []
        for frame in frames:
            try:
                values = frame.read()
                if self._corrections is None:
                    if not (values > 0).any():
                        self.monitor.note_skipped(1, len(self._queue))
                        continue  # an empty frame decides nothing
                    self.begin(values)
                self._check_like_first(values)
            except ValueError as fault:
                if isinstance(fault, InputError):
                    raise
                self._note_damaged(frame, fault)
                continue
            if buffer is None:
                buffer = np.empty((self.plan.batch, *values.shape), values.dtype)
            buffer[len(good)] = values
            good.append(frame)
        return good, buffer

    def _check_like_first(self, values: np.ndarray) -> None:
        """Raise ValueError for a frame of another shape or type than the first."""
        wanted = self._corrections
        if values.shape != wanted.raw_shape or values.dtype != wanted.raw_dtype:
            raise ValueError(
                f"{values.dtype} of shape {values.shape}; the first frame had {wanted.raw_dtype} {wanted.raw_shape}"
            )

    def _note_damaged(self, frame: Frame, fault: Exception) -> None:
        logger.warning("live: frame %d is damaged: %s", frame.number, fault)
        self.flush_counts(damaged=1)

    def begin(self, first: np.ndarray) -> None:
        """Decide corrections by the first frame and load the method.

        Parameters
        ----------
        first : (H, W) as the source gives it
        """
        with self._begin_lock:
            if self._corrections is not None:
                return
            corrections = self._choose_corrections(first)
            self._phaser = self._load(self.monitor.controls.method, corrections.shape)
            self._phaser.warm_up(*corrections(first[None]))
            self._begun(first, corrections, self._phaser)
            self._corrections = corrections

    def _choose_corrections(self, first: np.ndarray) -> Corrections | AsTheyAre:
        options, like, source = self.plan.options, self.plan.like, self.source
        if source.template is not None:
            if options.chosen() or like is not None:
                raise InputError("replay: the frames are those of a measurement already; no --import and no --like")
            return AsTheyAre(source.template)
        if like is None:
            return Corrections(first, options, source.mask, source.geometry)
        if options.chosen():
            raise InputError("give either --like or --import, not both")
        corrections = Corrections(first, options_like(like, "--like"), source.mask, like.geometry)
        return corrections.masked_like(like)

    def _load(self, name: str, shape: tuple[int, int]) -> Phaser:
        settings = self.plan.settings if name == self._first_method else {}
        return Phaser(name, settings, shape, self.plan.device, self.plan.iterations, self.plan.every)

    def _phaser_of(self, wanted: str) -> Phaser:
        """The method that was asked for last; the one before where it cannot be had."""
        with self._begin_lock:
            if wanted != self._phaser.name:
                try:
                    self._phaser = self._load(wanted, self._corrections.shape)
                    self.monitor.note_state("running", method=wanted, complaint="")
                except InputError as error:
                    self.monitor.note_refused(wanted, str(error))
            return self._phaser

    def _set_state(self, state: str) -> None:
        if self.monitor.state != state:
            self.monitor.note_state(state)


def _results(frames: list[Frame], photons, scores, counts, measured, objects, supports, r_factors, iterated) -> Results:
    return Results(
        np.array([frame.number for frame in frames], np.int64),
        np.array([frame.series for frame in frames], np.int64),
        np.array([frame.arrived_s for frame in frames]),
        photons.astype(np.float32),
        scores,
        r_factors,
        iterated,
        counts,
        measured,
        objects,
        supports,
    )
