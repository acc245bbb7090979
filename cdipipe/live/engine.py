"""One live run: a source thread, a bounded queue, workers that phase batches, and a thread that writes.

The first good frame decides shapes, masks and corrections. Every frame is counted once: phased, dropped from the full
queue, skipped (no hit, no photons, or a pause), or damaged. When the run is to end, the source is asked for no more
frames, and what waits is phased and written before the file is closed.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.live.allocator import keep_freed_memory
from cdipipe.live.batches import Batches
from cdipipe.live.corrections import AsTheyAre, Corrections
from cdipipe.live.frames import Frame, FrameQueue, GapWatch
from cdipipe.live.monitor import Monitor, Results
from cdipipe.live.phaser import Phaser
from cdipipe.live.plan import Plan
from cdipipe.live.registry import FrameSource
from cdipipe.live.writer import Writer

BATCHES_TO_WRITE = 8
QUEUE_SHARE = 0.25
"""Share of the memory that waiting frames may fill."""
LOOK_S = 0.1
logger = logging.getLogger("cdipipe")


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
        self._failure: BaseException | None = None
        self._writing_failed = self._working_failed = False
        self._batches = Batches(source, plan, self._queue, monitor, self._open)
        self._writer: Writer | None = None
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
        self._batches.flush_counts()
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
            "seconds": 0.0 if math.isnan(took) else round(took, 3),
            "patterns_per_s": round(seen.phased / took, 2) if took > 0 else None,
            "latency_p50_ms": None if math.isnan(p50) else round(1e3 * p50, 3),
            "latency_p99_ms": None if math.isnan(p99) else round(1e3 * p99, 3),
            "output": str(self.output) if self._writer is not None else None,
        }

    def _prepare(self) -> list[threading.Thread]:
        """The threads, and all that can be made ready before the first frame."""
        import torch

        keep_freed_memory()
        workers = 1 if self.plan.device != "cpu" else self.plan.workers or len(os.sched_getaffinity(0))
        if workers > 1:
            torch.set_num_threads(1)
        template = self.source.template
        if template is not None:
            self._batches.begin(template.intensity.reshape(-1, *template.pattern_shape)[0])
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
        if math.isnan(self._first_s):
            self._first_s = frame.arrived_s
        if frame.number >= 0 and self._gaps.see(frame.series, frame.number):
            self.monitor.note_gaps(self._gaps.missing, self._gaps.gaps)

    # ---- workers

    def _work(self) -> None:
        buffer = None
        while (frames := self._queue.take(self.plan.batch, self.plan.wait_s, LOOK_S)) is not None:
            self._batches.flush_counts()
            if self._working_failed:
                return
            if frames:
                results, buffer = self._batches.process(frames, buffer)
                if results is not None:
                    self._last_s = time.perf_counter()
                    self.monitor.note_results(results, len(self._queue))
                    self._to_write_put(results)

    # ---- writing

    def _open(self, first: np.ndarray, corrections: Corrections | AsTheyAre, phaser: Phaser) -> None:
        """Open the file, and limit the frames that wait to a share of the memory."""
        memory = QUEUE_SHARE * memory_limit_bytes()
        self._queue.limit(int(memory // max(1, first.nbytes)))
        self.monitor.note_queue_size(self._queue.size)
        recipe = {"method": phaser.name, **self.plan.settings}
        if self.plan.iterations:
            recipe |= {"then": self.plan.iterations, "then_every": self.plan.every}
        self._writer = Writer(
            self.output,
            corrections.shape,
            corrections.geometry,
            phaser.name,
            recipe,
            self.provenance,
            warn=self._warn_of_disk,
            is_urgent=self._hurry.is_set,
        )

    def _write(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                if (results := self._to_write.get(timeout=LOOK_S)) is None:
                    return
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


def _join(threads: list[threading.Thread]) -> None:
    """Wait for threads, so that signals are taken meanwhile."""
    for thread in threads:
        while thread.is_alive():
            thread.join(LOOK_S)
