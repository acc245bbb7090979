"""Frames through an engine: each is counted once, results are those of ``reconstruct``, nothing is lost."""

from __future__ import annotations

import errno
import os
import threading
import time

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.importing.options import ImportOptions
from cdipipe.live import batches
from cdipipe.live.frames import Frame
from cdipipe.live.sources.replay import Replay
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.phasing.reconstruct import reconstruct

MIDDLE = ImportOptions(centre="middle")


def frame(number, values, **more):
    return Frame(number, time.perf_counter(), values, **more)


def in_order(result, name="frame_number"):
    order = np.argsort(result.run_scores["frame_number"])
    return result.run_scores[name][order], result.object[order], result.support[order]


def test_results_are_those_of_reconstruct(live, shots):
    totals, found = live(Replay(shots), workers=2)
    wanted = reconstruct(shots, recipe_from_mapping({"method": "cdi_nn"}))
    r_factors, objects, supports = in_order(found, "r_factor")
    assert totals["received"] == totals["phased"] == 12 and totals["dropped"] == 0
    np.testing.assert_allclose(objects, wanted.object, atol=2e-6 * np.abs(wanted.object).max())
    np.testing.assert_array_equal(supports, wanted.support)
    np.testing.assert_allclose(r_factors, wanted.run_scores["r_factor"], rtol=1e-5)
    assert found.stack == "shots" and found.method == "cdi_nn"


def test_iterations_lower_the_misfit_of_the_frames_they_are_for(live, shots):
    _, plain = live(Replay(shots))
    live.output.unlink()
    _, more = live(Replay(shots), iterations="20*ER", every=3)
    before, after = in_order(plain, "r_factor")[0], in_order(more, "r_factor")[0]
    chosen = in_order(more, "iterated")[0] > 0
    assert chosen.tolist() == [True, False, False] * 4
    assert (after[chosen] < before[chosen]).all()
    np.testing.assert_allclose(after[~chosen], before[~chosen], rtol=1e-6)


def test_iterations_of_a_batch_are_those_of_a_recipe(live, shots):
    from cdipipe.phasing.starts import Start

    _, plain = live(Replay(shots))
    live.output.unlink()
    _, found = live(Replay(shots), iterations="15*ER")
    _, objects, supports = in_order(plain)
    recipe = recipe_from_mapping({"sequence": "15*ER", "shrink_wrap": {"every": 0}})
    wanted = reconstruct(shots, recipe, start=Start(objects, supports))
    _, refined, _ = in_order(found)
    np.testing.assert_allclose(refined, wanted.object, atol=2e-4 * np.abs(wanted.object).max())


def test_frames_of_a_detector_are_corrected_as_import_does(live, raw, shots):
    raw = raw.copy()
    raw[:, 3, 4] = 2**32 - 1
    totals, found = live([frame(n, values) for n, values in enumerate(raw)], options=MIDDLE)
    assert totals["phased"] == 12
    without = shots.intensity.sum((1, 2)) - shots.intensity[:, 3, 4]
    np.testing.assert_allclose(in_order(found, "photons")[0], without, rtol=1e-6)


def test_every_frame_is_counted_once(live, raw):
    def broken():
        raise ValueError("cut off")

    frames = [frame(0, raw[0]), frame(1, None, fault="no bytes"), frame(2, broken), frame(3, raw[1][:16])]
    frames += [frame(4, raw[2].astype(np.uint16)), frame(5, raw[3] * 0), frame(8, raw[4]), None]
    totals, found = live(frames, options=MIDDLE)
    assert {name: totals[name] for name in ("received", "phased", "skipped", "damaged", "dropped", "missing")} == {
        "received": 7, "phased": 2, "skipped": 1, "damaged": 4, "dropped": 0, "missing": 2
    }  # fmt: skip
    assert in_order(found)[0].tolist() == [0, 8]


def test_a_damaged_first_frame_decides_nothing(live, raw):
    totals, _ = live([frame(0, None, fault="x"), frame(1, raw[0])], options=MIDDLE)
    assert (totals["damaged"], totals["phased"]) == (1, 1)


def test_empty_first_frames_decide_nothing(live, raw):
    totals, found = live([frame(n, raw[0] * (n > 2)) for n in range(6)], options=ImportOptions(crop=(32,)))
    assert (totals["skipped"], totals["phased"]) == (3, 3) and len(found.object) == 3


def test_only_hits_are_phased_where_a_threshold_is_given(live, raw):
    rng = np.random.default_rng(0)
    empty = rng.poisson(0.3, (60, 32, 32)).astype(np.uint32)
    hits = {20, 33, 50}
    frames = [frame(n, raw[n % 12] if n in hits else empty[n]) for n in range(60)]
    totals, found = live(frames, threshold=5.0, options=MIDDLE)
    numbers = in_order(found)[0]
    assert hits <= set(numbers) and set(numbers) - hits <= set(range(16))
    assert totals["skipped"] + totals["phased"] == 60


def test_a_full_queue_drops_the_oldest_and_says_so(live, raw):
    frames = [frame(n, raw[n % 12]) for n in range(200)]
    totals, found = live(frames, options=MIDDLE, queue=8, when_full="drop-oldest")
    assert totals["received"] == 200 == totals["phased"] + totals["dropped"] and totals["dropped"] > 0
    assert in_order(found)[0][-1] == 199


def test_a_pause_skips_frames_and_other_methods_can_be_asked_for(live, raw):
    def wait_for(what):
        def wait():
            until = time.time() + 20
            while not what(live.monitor.snapshot()) and time.time() < until:
                time.sleep(0.01)

        return wait

    frames = [
        frame(0, raw[0]),
        wait_for(lambda seen: seen.phased == 1),
        lambda: live.monitor.pause(True),
        frame(1, raw[1]),
        wait_for(lambda seen: seen.skipped == 1 and seen.state == "paused"),
        lambda: live.monitor.pause(False),
        lambda: live.monitor.ask(method="dpr"),
        frame(2, raw[2]),
        wait_for(lambda seen: seen.phased == 2 and seen.complaint),
    ]
    totals, _ = live(frames, options=MIDDLE)
    seen = live.monitor.snapshot()
    assert (totals["phased"], totals["skipped"]) == (2, 1)
    assert seen.method == "cdi_nn" and "checkpoint" in seen.complaint and seen.state == "ended"


def test_stop_finishes_what_has_arrived(live, raw):
    frames = [*(frame(n, raw[n]) for n in range(12)), lambda: live.engine.stop(), frame(12, raw[0]), frame(13, raw[0])]
    totals, found = live(frames, options=MIDDLE)
    assert totals["received"] == totals["phased"] == len(found.object) == 13  # the one in hand, and no more


def test_a_run_ends_when_nothing_comes(live, raw):
    frames = [frame(0, raw[0]), *[None] * 1000]
    began = time.perf_counter()
    totals, _ = live(frames, options=MIDDLE, idle_s=0.3)
    assert totals["phased"] == 1 and time.perf_counter() - began < 8


def test_a_source_that_fails_leaves_what_it_gave(live, raw):
    def fail():
        raise OSError(errno.EIO, "the network is gone")

    with pytest.raises(OSError, match="the network is gone"):
        live([*(frame(n, raw[n]) for n in range(12)), None, None, fail], options=MIDDLE)
    from cdipipe.io.cxi import read_reconstruction

    assert len(read_reconstruction(live.output).object) == 12


def test_a_full_disk_makes_the_run_wait(live, raw, monkeypatch):
    is_full, allocate = [False], os.posix_fallocate

    def allocate_or_not(*arguments):
        if is_full[0]:
            raise OSError(errno.ENOSPC, "full")
        allocate(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", allocate_or_not)

    def fill():
        is_full[0] = not is_full[0]

    def wait_for_complaint():
        until = time.time() + 20
        while "no space" not in live.monitor.snapshot().complaint and time.time() < until:
            time.sleep(0.01)
        threading.Timer(0.2, fill).start()

    frames = [frame(0, raw[0]), None, fill, *(frame(n, raw[n % 12]) for n in range(1, 80)), wait_for_complaint]
    totals, found = live(frames, options=MIDDLE)
    assert totals["phased"] == len(found.object) == 80 and totals["dropped"] == 0
    assert live.monitor.snapshot().complaint == ""


def test_results_of_another_run_are_not_replaced(live, raw):
    live([frame(0, raw[0])], options=MIDDLE)
    with pytest.raises(InputError, match="exists already"):
        live([frame(0, raw[0])], options=MIDDLE)


def test_no_frames_no_file(live):
    totals, found = live([None])
    assert totals["received"] == 0 and found is None and totals["output"] is None


def test_a_method_is_taken_up_again_with_its_settings(live, raw, monkeypatch):
    made = []

    class Noted(batches.Phaser):
        def __init__(self, name, settings, *others):
            made.append((name, settings))
            super().__init__("cdi_nn", settings, *others)
            self.name = name

    def ask(method):
        return lambda: live.monitor.ask(method=method)

    monkeypatch.setattr(batches, "Phaser", Noted)
    settings = {"support_threshold": 0.2}
    frames = [frame(0, raw[0]), *_done(live, 1), ask("other"), frame(1, raw[1]), *_done(live, 2), ask("cdi_nn")]
    live([*frames, frame(2, raw[2])], options=MIDDLE, settings=settings)
    assert made == [("cdi_nn", settings), ("other", {}), ("cdi_nn", settings)]


def test_a_method_that_is_refused_leaves_what_was_asked_for_as_it_was(live, raw):
    def ask():
        live.monitor.ask(method="dpr")

    frames = [frame(0, raw[0]), *_done(live, 1), ask, frame(1, raw[1]), *_done(live, 2)]
    frames += [lambda: live.monitor.ask(hit_threshold=None), frame(2, raw[2]), *_done(live, 3), ask, frame(3, raw[3])]
    live(frames, options=MIDDLE)
    seen = live.monitor.snapshot()
    assert seen.phased == 4 and seen.method == seen.controls.method == "cdi_nn" and "dpr" in seen.complaint


def _done(live, count):
    """Waits until so many frames were phased."""

    def wait():
        until = time.monotonic() + 30
        while live.monitor.snapshot().phased < count:
            assert time.monotonic() < until
            time.sleep(0.01)

    return [wait]
