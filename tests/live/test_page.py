"""The server of the page: what it gives, in which rounds, and how it ends."""

from __future__ import annotations

import json
import time

import driven
import pytest
from page_client import SEEN, ask, closed, feed, hear, hear_until, talk_with

from cdipipe.live.page import make_page
from cdipipe.live.page import server as page_server


def test_files_come_with_a_policy_that_allows_nothing_from_elsewhere(page):
    for name, kind in page_server.FILES.items():
        status, headers, body = ask(page, "/" if name == "index.html" else f"/{name}")
        assert status == 200 and headers["content-type"].startswith(kind) and len(body) > 200
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert headers["x-content-type-options"] == "nosniff" and "server" not in headers
        text = body.decode()
        assert "http://" not in text and "https://" not in text and "style=" not in text and "onclick" not in text


def test_every_script_and_style_of_the_page_is_served(page):
    folder = page_server.resources.files("cdipipe.live.page") / "static"
    assert {file.name for file in folder.iterdir()} == set(page_server.FILES)


def test_the_first_round_has_all_kinds(page):
    with talk_with(page) as it:
        round_ = hear(it)
        assert set(round_) == {"now", "hits", "history"}
        text, arrays = round_["now"]
        assert (text["state"], text["phased"], text["number"], text["source"]) == (
            "running",
            40,
            39,
            "replay:shots.cxi",
        )
        assert arrays["pattern"].shape == (32, 32) and len(round_["hits"][0]["hits"]) == 12


def test_pause_method_and_threshold_reach_the_run(page, monitor):
    with talk_with(page) as it:
        hear(it)
        it.send('{"do": "pause", "is_paused": true}')
        assert hear_until(it, lambda text: text["wanted"]["is_paused"]) and monitor.controls.is_paused
        it.send('{"do": "method", "method": "dpr"}')
        it.send('{"do": "threshold", "hit_threshold": 7.25}')
        it.send('{"do": "pause", "is_paused": false}')
        assert hear_until(it, lambda text: text["wanted"]["hit_threshold"] == 7.25)["wanted"]["method"] == "dpr"
        assert hear_until(it, lambda text: not text["wanted"]["is_paused"])
        controls = monitor.controls
        assert (controls.is_paused, controls.method, controls.hit_threshold) == (False, "dpr", 7.25)
        it.send('{"do": "threshold", "hit_threshold": null}')
        hear_until(it, lambda text: text["wanted"]["hit_threshold"] is None)


def test_a_method_that_is_not_offered_is_refused(page, monitor):
    with talk_with(page) as it:
        hear(it)
        it.send('{"do": "method", "method": "../../etc/passwd"}')
        told = [it.recv(30)]
        while not (isinstance(told[-1], str) and "refused" in told[-1]):
            told.append(it.recv(30))
        assert "no method" in json.loads(told[-1])["refused"] and monitor.controls.method == "cdi_nn"


def test_a_slow_browser_gets_fewer_and_the_newest(page, monitor):
    with talk_with(page) as it:
        hear(it)
        for first in range(40, 400, 40):
            feed(monitor, first, 40)
            time.sleep(0.12)
        with pytest.raises(TimeoutError):
            it.recv(0.8)  # nothing before it has taken in the round before
        it.send(SEEN)
        round_ = hear(it)
        assert round_["now"][0]["number"] == 399 and round_["hits"][0]["hits"][0]["number"] == 399


def test_at_most_ten_rounds_a_second(page, monitor):
    run = driven.Driven(monitor, rate=2000, batch=20)
    with talk_with(page) as it:
        run.start()
        began, rounds = time.monotonic(), 0
        while time.monotonic() - began < 1.5:
            hear(it)
            it.send(SEEN)
            rounds += 1
        run.end()
        assert 2 <= rounds <= 1 + 10 * (time.monotonic() - began)


def test_the_end_of_the_run_is_shown_before_the_page_closes(monitor):
    with make_page(monitor, "127.0.0.1:0") as page, talk_with(page) as it:
        hear(it)
        feed(monitor, 40, 5)
        monitor.note_state("ended")
        it.send(SEEN)
        round_ = hear(it)
        while round_["now"][0]["state"] != "ended":
            it.send(SEEN)
            round_ = hear(it)
        assert round_["now"][0]["number"] == 44
        it.send(SEEN)
        assert closed(it) == (1000, "ended")
    assert not page._thread.is_alive()


def test_stop_does_not_wait_for_who_takes_nothing_in(monitor):
    page = make_page(monitor, "127.0.0.1:0")
    page.start()
    with talk_with(page) as it:
        hear(it)
        monitor.note_state("ended")
        began = time.monotonic()
        page.stop()
        assert time.monotonic() - began < 6 and not page._thread.is_alive()


def test_a_fault_in_a_message_is_told_once_and_spoils_nothing(page, monitor, monkeypatch, caplog):
    def broken(seen):
        raise RuntimeError("broken picture")

    monkeypatch.setattr(page._hub, "_now", broken)
    with talk_with(page) as it:
        time.sleep(0.5)
        monkeypatch.undo()
        assert hear_until(it, lambda text: text["number"] == 39)
    assert [record.getMessage() for record in caplog.records].count(
        "the page could not be brought up to date: RuntimeError: broken picture"
    ) == 1
