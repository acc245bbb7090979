"""A live run without its engine: a monitor that is told of frames, as the engine tells it."""

from __future__ import annotations

import threading
import time

import numpy as np

from cdipipe.live.monitor import Monitor, Results


def results(first: int, count: int, size: int = 32, seed: int = 0, **changed) -> Results:
    """Frames of a small object whose phase turns from frame to frame."""
    random = np.random.default_rng(seed + first)
    y, x = np.mgrid[:size, :size] - size // 2
    support = np.hypot(x, y * 1.4) < size / 5
    phases = (1.5 * np.sin(x / size * 9 + first / 20) + y / size * 4)[None] + 0.1 * random.normal(size=(count, 1, 1))
    objects = (support * (40 + 10 * np.cos(y / 2)) * np.exp(1j * phases)).astype(np.complex64)
    far = np.fft.fftshift(np.abs(np.fft.fft2(objects, norm="ortho")) ** 2, axes=(1, 2))
    patterns = random.poisson(far).astype(np.float32)
    measured = np.ones((size, size), bool)
    measured[:, size // 2 + 6] = False
    fields = {
        "numbers": first + np.arange(count),
        "series": np.zeros(count, np.int64),
        "arrived_s": time.perf_counter() - random.gamma(4, 0.002, count),
        "photons": patterns.sum((1, 2)),
        "scores": random.uniform(3, 9, count).astype(np.float32),
        "r_factors": (0.12 + 0.02 * random.normal(size=count)).astype(np.float32),
        "iterated": np.zeros(count, bool),
        "patterns": patterns,
        "measured": measured,
        "objects": objects,
        "supports": np.broadcast_to(support, objects.shape),
    }
    fields |= changed
    fields["measured"] = np.broadcast_to(fields["measured"], (count, *fields["measured"].shape[-2:]))
    return Results(**fields)


class Driven(threading.Thread):
    """Tells a monitor of ``rate`` frames a second in batches, and does as it is asked."""

    def __init__(self, monitor: Monitor, rate: float = 200.0, batch: int = 16, size: int = 32) -> None:
        super().__init__(daemon=True)
        self.monitor, self.rate, self.batch, self.size = monitor, rate, batch, size
        self.is_done = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.is_done.is_set():
            wanted = self.monitor.controls
            self.monitor.note_received(self.batch, queued=number // self.batch % 7, dropped=number % 5 == 0)
            if wanted.is_paused:
                self.monitor.note_state("paused", method=wanted.method)
                self.monitor.note_skipped(self.batch, queued=0, looked=False)
            else:
                self.monitor.note_state("running", method=wanted.method)
                hits = self.batch if wanted.hit_threshold is None else max(1, self.batch // 2)
                self.monitor.note_results(results(number, hits, self.size), queued=0)
                self.monitor.note_skipped(self.batch - hits, queued=0)
            number += self.batch
            self.is_done.wait(self.batch / self.rate)

    def end(self) -> None:
        """Stop and say that the run has ended."""
        self.is_done.set()
        self.join()
        self.monitor.note_state("ended")
