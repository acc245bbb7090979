"""What the server of the page refuses, and that nothing a browser sends reaches the disk."""

from __future__ import annotations

import socket
import sys
import time

import pytest
from page_client import SEEN, ask, closed, hear, place, talk_with
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cdipipe.live.page import make_page
from cdipipe.live.page import server as page_server
from cdipipe.live.page import talk as page_talk

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
