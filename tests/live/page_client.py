"""A browser as the server of the page sees one: requests, websockets, rounds of messages."""

from __future__ import annotations

import http.client
import json
import time
from contextlib import contextmanager

import driven
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from cdipipe.live.monitor import Monitor
from cdipipe.live.page.messages import unpack

SEEN = '{"do": "seen"}'


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
