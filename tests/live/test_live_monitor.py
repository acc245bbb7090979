"""What watchers see of a live run: counts, rates, latencies, history, controls."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from cdipipe.live.meters import Histogram
from cdipipe.live.monitor import HISTORY, THUMBNAILS, Monitor, Results


def results(first, count=16, age_s=0.01):
    numbers = np.arange(first, first + count)
    shape = (count, 4, 4)
    return Results(
        numbers,
        np.zeros(count, np.int64),
        np.full(count, time.perf_counter() - age_s),
        numbers.astype(np.float32),
        np.ones(count, np.float32),
        numbers.astype(np.float32) / 1000,
        np.zeros(count, bool),
        np.ones(shape, np.float32) * numbers[:, None, None],
        np.ones(shape, bool),
        np.ones(shape, np.complex64) * numbers[:, None, None],
        np.ones(shape, bool),
    )


def test_a_new_run_has_nothing_to_show():
    seen = Monitor("replay:m.cxi", "cdi_nn", 3.0, 64).snapshot()
    assert (seen.state, seen.source, seen.method, seen.queue_size) == ("starting", "replay:m.cxi", "cdi_nn", 64)
    assert seen.controls.hit_threshold == 3.0 and seen.object is None and not seen.numbers.size
    assert np.isnan([seen.hit_rate, seen.latency_p50_s, seen.latency_p99_s]).all()


def test_history_and_hits_are_those_of_the_newest_results():
    monitor, own = Monitor(), results(0)
    monitor.note_results(own, 0)
    assert monitor.snapshot().numbers.tolist() == list(range(16))
    for first in range(16, HISTORY + 80, 16):
        monitor.note_results(results(first), 3)
    seen, last = monitor.snapshot(), HISTORY + 79
    np.testing.assert_array_equal(seen.numbers, np.arange(last - HISTORY + 1, last + 1))
    np.testing.assert_array_equal(seen.photons, seen.numbers)
    assert [hit.number for hit in seen.newest_hits] == [last - index for index in range(THUMBNAILS)]
    assert seen.newest_hits[0].object[0, 0] == seen.object[0, 0] == seen.pattern[0, 0] == seen.number == last
    assert seen.phased == seen.looked == last + 1 and seen.queued == 3 and seen.hit_rate == 1


def test_a_snapshot_does_not_change_afterwards():
    monitor, own = Monitor(), results(0)
    monitor.note_results(own, 0)
    seen = monitor.snapshot()
    own.objects[:] = own.patterns[:] = 77
    monitor.note_results(results(100), 0)
    assert seen.object[0, 0] == seen.pattern[0, 0] == 15 and seen.numbers[-1] == 15


def test_counts_gaps_and_skipped_frames_add_up():
    monitor = Monitor()
    monitor.note_received(20, 4, dropped=3, damaged=1)
    monitor.note_gaps(3, [(7, 9)])
    monitor.note_skipped(6, 0)
    monitor.note_results(results(0, 10), 0)
    seen = monitor.snapshot()
    assert (seen.received, seen.dropped, seen.damaged, seen.skipped, seen.phased) == (20, 3, 1, 6, 10)
    assert seen.received == seen.dropped + seen.damaged + seen.skipped + seen.phased
    assert seen.missing == 3 and seen.gaps == ((7, 9),) and seen.hit_rate == 10 / 16
    monitor.note_skipped(100, 0, looked=False)
    seen = monitor.snapshot()
    assert seen.skipped == 106 and seen.hit_rate == 10 / 16  # in a pause nothing is looked at


def test_quantiles_of_the_histogram_are_right_to_one_percent():
    times = np.random.default_rng(0).lognormal(-5, 1, 20_000)
    histogram = Histogram()
    for part in np.split(times, 20):
        histogram.add(part)
    for share in (0.5, 0.99):
        assert histogram.quantile(share) == pytest.approx(np.quantile(times, share), rel=0.012)
    assert np.isnan(Histogram().quantile(0.5))


def test_latency_runs_from_arrival_to_result():
    monitor = Monitor()
    monitor.note_results(results(0, age_s=0.25), 0)
    seen = monitor.snapshot()
    assert 0.25 <= seen.latency_p50_s <= seen.latency_p99_s < 0.35
    assert monitor.latencies_s(0.5)[0] == pytest.approx(seen.latency_p50_s, rel=0.02)


def test_what_is_asked_for_reaches_the_engine_and_wakes_watchers():
    monitor = Monitor(method="cdi_nn")
    before = monitor.snapshot().revision
    timer = threading.Timer(0.05, monitor.ask, kwargs={"method": "dpr", "hit_threshold": 2.5})
    timer.start()
    assert monitor.wait(before, 5) > before
    monitor.pause(True)
    controls = monitor.controls
    assert (controls.method, controls.hit_threshold, controls.is_paused) == ("dpr", 2.5, True)
    monitor.note_state("paused", complaint="dpr: no weights")
    assert monitor.snapshot().complaint == "dpr: no weights"
    with pytest.raises(TypeError):
        monitor.ask(path="/etc/passwd")
