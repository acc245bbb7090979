"""One live run: a source thread, a bounded queue, workers that phase batches, and a thread that writes.

The first good frame decides shapes, masks and corrections. Every frame is counted once: phased, dropped from the full
queue, skipped (no hit, no photons, or a pause), or damaged. When the run is to end, the source is asked for no more
frames, and what waits is phased and written before the file is closed.
"""

from __future__ import annotations

import ctypes
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.live.corrections import AsTheyAre, Corrections, options_like
from cdipipe.live.frames import Frame, FrameQueue, GapWatch, WhenFull
from cdipipe.live.hits import HitFinder
from cdipipe.live.monitor import Monitor, Results
from cdipipe.live.phaser import Phaser
from cdipipe.live.registry import FrameSource
from cdipipe.live.writer import Writer
from cdipipe.measurement import Measurement

BATCHES_TO_WRITE = 8
QUEUE_SHARE = 0.25
"""Share of the memory that waiting frames may fill."""
LOOK_S = 0.1
MALLOC_OPTIONS = {-3: 2**25, -1: 2**30, -2: 2**24}
"""M_MMAP_THRESHOLD, M_TRIM_THRESHOLD and M_TOP_PAD of glibc's malloc.h, in bytes."""
logger = logging.getLogger("cdipipe")


@dataclass(frozen=True)
class Plan:
    """How frames are taken and phased.

    Parameters
    ----------
    settings : parameters of the method
    iterations, every : a sequence such as ``20*ER`` after the prediction of every so many-th frame
    batch, wait_s : a batch is so many frames, or those that are there so long after the first of them came
    queue, when_full : frames that may wait, and what happens to more
    workers : batches that are phased at a time; None: one per core, on a GPU one
    device : ``cpu`` or ``cuda``
    idle_s : the run ends when no frame came for so long; None: it goes on
    options : :class:`~cdipipe.io.importing.options.ImportOptions` of the corrections
    like : a measurement with whose options, mask and geometry frames are treated
    """

    settings: dict[str, Any]
    options: Any
    iterations: str = ""
    every: int = 1
    batch: int = 64
    wait_s: float = 0.005
    queue: int = 1024
    when_full: WhenFull = "block"
    workers: int | None = None
    device: str = "cpu"
    idle_s: float | None = None
    like: Measurement | None = None


class Engine:
    """A live run.

    ``run`` works until the source ends, ``stop`` is called or nothing comes any more; meanwhile ``monitor`` shows it to
    other threads and takes what they ask for.

    Parameters
    ----------
    source : FrameSource
    plan : Plan
    output : CXI file to write
    monitor : Monitor, made with the method and the hit threshold
    provenance : stored in the file
    """

    def __init__(self, source: FrameSource, plan: Plan, output: Path, monitor: Monitor, provenance: dict):
        self.source, self.plan, self.output, self.monitor = source, plan, output, monitor
        self.provenance = provenance
        self._queue, self._gaps = FrameQueue(plan.queue, plan.when_full), GapWatch()
        self._to_write: queue.Queue[Results | None] = queue.Queue(BATCHES_TO_WRITE)
        self._stopping, self._hurry = threading.Event(), threading.Event()
        self._begin_lock, self._count_lock = threading.Lock(), threading.Lock()
        self._failure: BaseException | None = None
        self._writing_failed = self._working_failed = False
        self._corrections: Corrections | AsTheyAre | None = None
        self._phaser: Phaser | None = None
        self._first_method = monitor.controls.method
        self._writer: Writer | None = None
        self._hits = HitFinder()
        self._first_s = self._last_s = math.nan

    # ---- for the main thread

    def run(self) -> dict[str, Any]:
        """Work until the end; the totals.

        Raises
        ------
        InputError, OSError   frames, options or the file do not allow to go on; what was written stays
        """
        threads = self._prepare()
        for thread in threads:
            thread.start()
        reader, *workers, writer = threads
        _join([reader, *workers])
        self._to_write_put(None)
        _join([writer])
        self.source.close()
        self._flush_counts()
        self.monitor.note_state("ended")
        totals = self.totals()
        self._close_file(totals)
        if self._failure is not None:
            raise self._failure
        return totals

    def stop(self) -> None:
        """Take no more frames and finish what is there; called a second time, do not wait for a full disk either."""
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def totals(self) -> dict[str, Any]:
        """What the run came to, plain data."""
        seen, (p50, p99) = self.monitor.snapshot(), self.monitor.latencies_s(0.5, 0.99)
        took = self._last_s - self._first_s
        counts = ("received", "phased", "dropped", "skipped", "damaged", "missing")
        return {
            **{name: getattr(seen, name) for name in counts},
            "seconds": round(took, 3) if took == took else 0.0,
            "patterns_per_s": round(seen.phased / took, 2) if took > 0 else None,
            "latency_p50_ms": round(1e3 * p50, 3) if p50 == p50 else None,
            "latency_p99_ms": round(1e3 * p99, 3) if p99 == p99 else None,
            "output": str(self.output) if self._writer is not None else None,
        }

    def _prepare(self) -> list[threading.Thread]:
        """The threads, and all that can be made ready before the first frame."""
        import torch

        keep_freed_memory()
        workers = 1 if self.plan.device != "cpu" else self.plan.workers or len(os.sched_getaffinity(0))
        if self.plan.device == "cpu":
            torch.set_num_threads(1 if workers > 1 else max(1, torch.get_num_threads()))
        template = self.source.template
        if template is not None:
            self._begin(template.intensity.reshape(-1, *template.pattern_shape)[0])
        jobs: list[Callable[[], None]] = [self._read, *[self._work] * workers, self._write]
        return [threading.Thread(target=self._guarded, args=(job,), name=job.__name__, daemon=True) for job in jobs]

    def _guarded(self, job: Callable[[], None]) -> None:
        """A thread's work; what it raises ends the run. After a fault of the source the others finish what there is."""
        try:
            job()
        except BaseException as failure:
            self._failure = self._failure or failure
            self._stopping.set()
            if job == self._write:
                self._writing_failed = True
            if job != self._read:
                self._working_failed = True
                self._queue.give_up()

    def _close_file(self, totals: dict) -> None:
        """Finish the file; where it could not be written, leave it as it was after its last flush."""
        if self._writer is None:
            return
        try:
            if not self._writing_failed:
                self._writer.close(totals)
                return
        except (OSError, RuntimeError) as failure:
            self._failure = self._failure or failure
        self._writer.abandon()
        kept = f"the first {self._writer.rows} results are safe in {self.output}"
        if isinstance(self._failure, RuntimeError):  # libhdf5's way to say that it could not write
            self._failure = InputError(f"{self.output}: could not be written ({self._failure}); {kept}")
        else:
            logger.warning("live: %s", kept)

    # ---- source thread

    def _read(self) -> None:
        try:
            newest_s = time.perf_counter()
            for frame in self.source.frames():
                if frame is not None:
                    newest_s = frame.arrived_s
                    self._note_number(frame)
                    self._queue.put(frame)
                elif self.plan.idle_s is not None and time.perf_counter() - newest_s > self.plan.idle_s:
                    break
                if self._stopping.is_set():
                    break
        finally:
            self._queue.end()

    def _note_number(self, frame: Frame) -> None:
        if self._first_s != self._first_s:
            self._first_s = frame.arrived_s
        if frame.number >= 0 and self._gaps.see(frame.series, frame.number):
            self.monitor.note_gaps(self._gaps.missing, self._gaps.gaps)

    # ---- workers

    def _work(self) -> None:
        buffer = None
        while (frames := self._queue.take(self.plan.batch, self.plan.wait_s, LOOK_S)) is not None:
            self._flush_counts()
            if self._working_failed:
                return
            if frames:
                buffer = self._process(frames, buffer)

    def _flush_counts(self, damaged: int = 0) -> None:
        with self._count_lock:
            received, dropped = self._queue.tally()
            self.monitor.note_received(received, len(self._queue), dropped, damaged)

    def _process(self, frames: list[Frame], buffer: np.ndarray | None) -> np.ndarray | None:
        """Phase a batch; gives the buffer that the next one may use."""
        controls = self.monitor.controls
        if controls.is_paused:
            self._set_state("paused")
            self.monitor.note_skipped(len(frames), len(self._queue))
            return buffer
        self._set_state("running")
        good, buffer = self._unpack(frames, buffer)
        if not good:
            return buffer
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
        if good:
            self._phase(phaser, good, counts, measured, photons, scores)
        return buffer

    def _phase(self, phaser: Phaser, frames: list[Frame], counts, measured, photons, scores) -> None:
        objects, supports, r_factors, iterated = phaser(counts, measured)
        results = Results(
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
        self._last_s = time.perf_counter()
        self.monitor.note_results(results, len(self._queue))
        self._to_write_put(results)

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
                    self._begin(values)
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
        self._flush_counts(damaged=1)

    # ---- the first frame, and other methods

    def _begin(self, first: np.ndarray) -> None:
        """Decide corrections by the first frame, load the method, open the file."""
        with self._begin_lock:
            if self._corrections is not None:
                return
            corrections = self._choose_corrections(first)
            self._phaser = self._load(self.monitor.controls.method, corrections.shape)
            self._phaser.warm_up(*corrections(first[None]))
            memory = QUEUE_SHARE * memory_limit_bytes()
            self._queue.limit(int(memory // max(1, first.nbytes)))
            self.monitor.note_queue_size(self._queue.size)
            recipe = {"method": self._phaser.name, **self.plan.settings}
            if self.plan.iterations:
                recipe |= {"then": self.plan.iterations, "then_every": self.plan.every}
            self._writer = Writer(
                self.output,
                corrections.shape,
                corrections.geometry,
                self._phaser.name,
                recipe,
                self.provenance,
                warn=self._warn_of_disk,
                is_urgent=self._hurry.is_set,
            )
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

    # ---- writing thread

    def _write(self) -> None:
        while True:
            try:
                results = self._to_write.get(timeout=LOOK_S)
            except queue.Empty:
                results = False
            if results is None:
                return
            if results:
                self._writer.append(results)
            if self._writer is not None:
                self._writer.flush_if_due()

    def _to_write_put(self, results: Results | None) -> None:
        """Hand results over; gives up where the writing has failed."""
        while not self._writing_failed:
            try:
                self._to_write.put(results, timeout=LOOK_S)
                return
            except queue.Full:
                continue

    def _warn_of_disk(self, text: str) -> None:
        logger.warning("live: %s", text or f"{self.output}: there is space again")
        self.monitor.note_state(self.monitor.state, complaint=text)


def keep_freed_memory() -> None:
    """Let the allocator of glibc keep what is freed: every batch asks for the same sizes again.

    Pages that are given back to the system are cleared anew each time, which takes a tenth of the processor.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in MALLOC_OPTIONS.items():
        mallopt(option, value)


def _join(threads: list[threading.Thread]) -> None:
    """Wait for threads, so that signals are taken meanwhile."""
    for thread in threads:
        while thread.is_alive():
            thread.join(LOOK_S)
