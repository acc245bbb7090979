"""The server of the page: what it gives, what it refuses, and that nothing a browser sends reaches the disk."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import time
from contextlib import contextmanager

import driven
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from cdipipe.live.monitor import Monitor
from cdipipe.live.page import make_page
from cdipipe.live.page import server as page_server
from cdipipe.live.page import talk as page_talk
from cdipipe.live.page.messages import unpack

SEEN = '{"do": "seen"}'


@pytest.fixture
def monitor() -> Monitor:
    """A run of which 40 frames were phased."""
    monitor = Monitor("replay:shots.cxi", "cdi_nn", 5.0, 256)
    monitor.note_state("running")
    feed(monitor, 0, 40)
    return monitor


@pytest.fixture
def page(monitor):
    with make_page(monitor, "127.0.0.1:0", ["cdi_nn", "dpr"]) as page:
        yield page


def feed(monitor: Monitor, first: int, count: int) -> None:
    monitor.note_received(count, 0)
    monitor.note_results(driven.results(first, count), 0)


def place(page) -> str:
    return page.url.removeprefix("http://").partition("/")[0]


@contextmanager
def talk_with(page, **options):
    where = place(page)
    options = {"origin": f"http://{where}", "max_size": None, "open_timeout": 30} | options
    with connect(
        f"ws://{where}/live{page.url.partition('/?')[2] and '?' + page.url.partition('?')[2]}", **options
    ) as it:
        yield it


def hear(it) -> dict[str, tuple]:
    """One round: text and arrays of each kind in it."""
    found = {}
    while isinstance(message := it.recv(30), bytes):
        text, arrays = unpack(message)
        found[text["kind"]] = text, arrays
    assert json.loads(message) == {"round": True}
    return found


def hear_until(it, is_there, seconds: float = 20) -> dict:
    """The first text of kind ``now`` for which that is true."""
    late = time.monotonic() + seconds
    while time.monotonic() < late:
        it.send(SEEN)
        text = hear(it).get("now", ({},))[0]
        if text and is_there(text):
            return text
    raise AssertionError("it never came")


def closed(it) -> tuple[int, str]:
    """Code and reason with which the server closes."""
    try:
        while True:
            it.recv(30)
    except ConnectionClosed as error:
        assert error.rcvd is not None
        return error.rcvd.code, error.rcvd.reason


def ask(page, path: str, method: str = "GET", **headers) -> tuple[int, dict, bytes]:
    connection = http.client.HTTPConnection(place(page), timeout=30)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


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


HOSTILE = [
    *("{", "[]", '{"do": "stop"}', '{"do": "pause", "is_paused": "yes"}', "[" * 1000, "\x00"),
    *(
        '{"do": "pause", "is_paused": true, "file": "/etc/passwd"}',
        '{"do": "threshold", "hit_threshold": 1e999}',
        b"{}",
    ),
]


@pytest.mark.parametrize("message", HOSTILE, ids=range(len(HOSTILE)))
def test_what_is_not_understood_ends_the_talk_and_not_the_page(page, monitor, message):
    before = monitor.controls
    with talk_with(page) as it:
        it.send(message)
        assert closed(it)[0] == 1008
    assert monitor.controls == before
    with talk_with(page) as it:
        assert hear(it)["now"][0]["number"] == 39


def test_a_huge_message_is_not_read(page):
    with talk_with(page) as it:
        it.send('{"do": "method", "method": "' + "a" * 5000 + '"}')
        assert closed(it)[0] == 1009
    with talk_with(page) as it, pytest.raises(ConnectionClosed):
        it.send("a" * 10_000_000)
        while True:
            it.recv(30)
    with talk_with(page) as it, pytest.raises(ConnectionClosed):
        it.send(["a" * 100] * 1000)  # nor in many small pieces
        while True:
            it.recv(30)
    with talk_with(page) as it:
        assert "now" in hear(it)


def test_a_flood_of_messages_ends_the_talk(page):
    with talk_with(page) as it:
        with pytest.raises(ConnectionClosed):
            for _ in range(2000):
                it.send(SEEN)
            it.recv(30)
            while True:
                it.recv(30)
        assert it.close_code == 1008


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1", "https://127.0.0.1"])
def test_websockets_of_other_pages_are_refused(page, origin):
    with pytest.raises(InvalidStatus, match="403"), talk_with(page, origin=origin):
        pass


def test_other_names_are_refused(page):
    assert ask(page, "/", Host="evil.example")[0] == 403
    assert ask(page, "/", Host="localhost:1234")[0] == 200  # through a tunnel
    with pytest.raises(InvalidStatus, match="403"):
        headers = {"Host": "evil.example", "Origin": "http://evil.example"}
        raw_websocket(page, headers)


def raw_websocket(page, headers: dict[str, str]) -> None:
    """A websocket whose Host is not where it connects to, as after DNS rebinding."""
    host, _, port = place(page).partition(":")
    with socket.create_connection((host, int(port)), timeout=30) as it:
        lines = ["GET /live HTTP/1.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"]
        lines += ["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", *(f"{k}: {v}" for k, v in headers.items()), "", ""]
        it.sendall("\r\n".join(lines).encode())
        status = it.recv(100).split()[1]
        if status != b"101":
            raise InvalidStatus(type("Answer", (), {"status_code": int(status)})())


def test_an_open_page_wants_its_key(monitor):
    with make_page(monitor, "0.0.0.0:0", is_open=True) as page:
        assert "not encrypted" in page.warning and "?key=" in page.url
        page.url = f"http://127.0.0.1:{page.url.rpartition(':')[2]}"
        with talk_with(page) as it:
            assert hear(it)["now"][0]["number"] == 39
        for wrong in ("", "/?key=", "/?key=guess", "/?key=%ff"):
            page.url = page.url.partition("/?")[0] + wrong
            with pytest.raises(InvalidStatus, match="403"), talk_with(page):
                pass


_opened: list[str] | None = None


def _note(event: str, args: tuple) -> None:
    if _opened is not None and event in (
        "open",
        "os.listdir",
        "os.scandir",
        "os.remove",
        "os.rename",
        "subprocess.Popen",
    ):
        _opened.append(f"{event} {args[0]}")


@pytest.fixture
def opened():
    """What the process opened, listed or ran since."""
    global _opened
    sys.addaudithook(_note)  # for good; it does nothing after this test
    _opened = []
    yield _opened
    _opened = None


def test_no_path_reaches_the_disk(page, opened):
    paths = ["/../../etc/passwd", "/..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/.git/config"]
    paths += [
        "/page.js/../../server.py",
        "/page.js%00.html",
        "/static/page.js",
        "/index.html",
        "/C:\\boot.ini",
        "/live",
    ]
    paths += ["/page.js?file=/etc/passwd", "/" + "a" * 3000]
    for path in paths:
        status, headers, body = ask(page, path)
        assert status == (200 if path.startswith("/page.js?") else 404), path
        assert b"root:" not in body and "content-security-policy" in headers
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE"):
        assert ask(page, "/", method)[0] == 405
    with talk_with(page) as it:
        hear(it)
        it.send('{"do": "method", "method": "/etc/passwd"}')
        it.send('{"do": "threshold", "hit_threshold": 4}')
        it.send('{"do": "pause", "path": "/etc/passwd"}')
        assert closed(it)[0] == 1008
    assert opened == []


def test_only_so_many_watch(page, monkeypatch):
    monkeypatch.setattr(page_talk, "MAX_WATCHERS", 1)
    with talk_with(page) as first:
        hear(first)
        with talk_with(page) as second:
            assert closed(second) == (1013, "1 browsers watch already")
    late = time.monotonic() + 20
    while page._hub.watchers and time.monotonic() < late:
        time.sleep(0.02)
    with talk_with(page) as third:
        assert "now" in hear(third)


def test_silent_connections_are_few_and_shut(monitor, monkeypatch):
    monkeypatch.setattr(page_server, "MAX_CONNECTIONS", 4)
    monkeypatch.setattr(page_server, "SILENCE_S", 1.0)
    with make_page(monitor, "127.0.0.1:0") as page:
        host, _, port = place(page).partition(":")
        silent = [socket.create_connection((host, int(port)), timeout=30) for _ in range(8)]
        for it in silent:
            it.sendall(b"GET / HT")
        ends = [_is_shut(it) for it in silent]
        assert all(ends)
        assert ask(page, "/")[0] == 200


def _is_shut(it: socket.socket) -> bool:
    try:
        return it.recv(1) == b""
    except ConnectionResetError:
        return True
    finally:
        it.close()


def test_a_patience_that_ends(page, monkeypatch):
    monkeypatch.setattr(page_talk, "PATIENCE_S", 0.3)
    with talk_with(page) as it:
        hear(it)
        assert closed(it) == (1008, "nothing was taken in for too long")


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
