"""The queue between source and workers, and the numbers that never came."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from cdipipe.live.frames import Frame, FrameQueue, GapWatch, batch_size


def frame(number, values=0):
    return Frame(number, time.perf_counter(), values)


def numbers(frames):
    return [item.number for item in frames]


def test_drop_oldest_keeps_the_newest_and_counts_the_others():
    queue = FrameQueue(3, "drop-oldest")
    for number in range(5):
        queue.put(frame(number))
    assert numbers(queue.take(10, 0)) == [2, 3, 4]
    assert queue.tally() == (5, 2) and queue.tally() == (0, 0)


def test_block_makes_the_source_wait_and_loses_nothing():
    queue = FrameQueue(2, "block")
    feeder = threading.Thread(target=lambda: [queue.put(frame(number)) for number in range(6)])
    feeder.start()
    taken = []
    while len(taken) < 6:
        assert len(queue) <= 2
        taken += numbers(queue.take(1, 0))
    feeder.join()
    assert taken == list(range(6)) and queue.tally() == (6, 0)


def test_whoever_waits_for_a_place_can_be_sent_home():
    queue = FrameQueue(1, "block")
    queue.put(frame(0))
    feeder = threading.Thread(target=queue.put, args=(frame(1),))
    feeder.start()
    queue.give_up()
    feeder.join(5)
    assert not feeder.is_alive()


def test_a_batch_waits_for_more_but_not_longer_than_asked():
    queue = FrameQueue(100, "block")
    queue.put(frame(0))
    began = time.perf_counter()
    assert numbers(queue.take(8, 0.05)) == [0]
    assert 0.03 < time.perf_counter() - began < 1
    for number in range(8):
        queue.put(frame(number))
    began = time.perf_counter()
    assert len(queue.take(8, 5)) == 8 and time.perf_counter() - began < 1


def test_the_end_comes_after_what_waits():
    queue = FrameQueue(4, "block")
    queue.put(frame(0))
    queue.end()
    assert numbers(queue.take(8, 5)) == [0]
    assert queue.take(8, 5) is None
    assert FrameQueue(1, "block").take(8, 0, 0.01) == []


def test_frames_are_unpacked_when_they_are_wanted():
    assert frame(0, lambda: np.arange(3)).read().tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="cut off"):
        Frame(0, 0.0, None, fault="cut off").read()


def test_batches_have_few_sizes():
    assert sorted({batch_size(count) for count in range(1, 65)}) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]
    assert all(0.6 * count < batch_size(count) <= count for count in range(1, 500))
    queue = FrameQueue(20, "block")
    for number in range(13):
        queue.put(frame(number))
    assert [len(queue.take(64, 0)) for _ in range(2)] == [12, 1]


def test_gaps_are_counted_and_late_frames_found_again():
    watch = GapWatch()
    assert [watch.see(0, number) for number in (5, 6, 10, 11)] == [False, False, True, False]
    assert watch.missing == 3 and list(watch.gaps) == [(7, 9)]
    assert watch.see(0, 8)
    assert watch.missing == 2 and list(watch.gaps) == [(7, 7), (9, 9)]
    assert not watch.see(0, 8) and watch.missing == 2


def test_a_new_series_begins_anew():
    watch = GapWatch()
    for series, number in ((1, 0), (1, 1), (2, 0), (2, 3)):
        watch.see(series, number)
    assert watch.missing == 2 and list(watch.gaps) == [(1, 2)]


def test_two_workers_share_a_queue():
    queue, taken = FrameQueue(50, "block"), [[], []]

    def work(mine):
        while (frames := queue.take(8, 0.001, 0.01)) is not None:
            mine.extend(numbers(frames))

    workers = [threading.Thread(target=work, args=(mine,)) for mine in taken]
    for worker in workers:
        worker.start()
    for number in range(3000):
        queue.put(frame(number))
    queue.end()
    for worker in workers:
        worker.join(10)
    assert sorted(taken[0] + taken[1]) == list(range(3000))
    assert all(mine == sorted(mine) for mine in taken)
