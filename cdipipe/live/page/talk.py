"""One browser: it gets the newest of each kind and nothing that waits; what it asks for is checked."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets

from starlette.websockets import WebSocket, WebSocketDisconnect

from cdipipe.live.page.address import Address, is_same_page
from cdipipe.live.page.hub import PERIOD_S, Hub
from cdipipe.live.page.messages import MAX_WISH_BYTES, Seen, read_wish

MAX_WATCHERS = 8
MAX_WISHES_A_SECOND = 60
PATIENCE_S = 90.0
"""A browser that takes nothing in for so long is let go; hidden pages wake once a minute."""
logger = logging.getLogger("cdipipe")
NOT_ALLOWED, AGAIN_LATER, DONE = 1008, 1013, 1000


class _Breach(Exception):
    """The browser broke the rules."""


class Talk:
    """The talk with one browser.

    Messages go out in rounds: all kinds that are newer than what this browser has. The next round waits until it said
    ``seen`` for the one before, so that a slow browser gets fewer and newer pictures, never old ones late.
    """

    def __init__(self, socket: WebSocket, hub: Hub) -> None:
        self._socket = socket
        self._hub = hub
        self._sent: dict[str, bytes] = {}
        self._may_send = asyncio.Event()
        self._may_send.set()

    async def hold(self) -> None:
        """Send and listen until either side is done."""
        await self._socket.accept()
        if self._hub.watchers >= MAX_WATCHERS:
            await self._socket.close(AGAIN_LATER, f"{MAX_WATCHERS} browsers watch already")
            return
        self._hub.watchers += 1
        tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._listen())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            error = next((task.exception() for task in done if task.exception()), None)
            if isinstance(error, _Breach):
                await self._socket.close(NOT_ALLOWED, str(error))
            elif error is None and not tasks[1].done():
                await self._socket.close(DONE, "ended")
            elif error is not None and not isinstance(error, WebSocketDisconnect):
                logger.warning("the page lost a browser: %s: %s", type(error).__name__, error)
        except (WebSocketDisconnect, RuntimeError):
            pass  # it went away meanwhile
        finally:
            self._hub.watchers -= 1
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _send(self) -> None:
        """Rounds until the run has ended and its end was sent."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self._in_time(self._may_send.wait())
            has_ended = self._hub.has_ended
            fresh = {kind: data for kind, data in self._hub.latest.items() if self._sent.get(kind) is not data}
            if fresh:
                self._may_send.clear()
            for kind, data in fresh.items():
                await self._in_time(self._socket.send_bytes(data))
                self._sent[kind] = data
            if fresh:
                await self._in_time(self._socket.send_text('{"round": true}'))
            if has_ended and not fresh:
                return
            await asyncio.sleep(max(0.0, PERIOD_S - (loop.time() - began)))

    async def _in_time(self, waited) -> None:
        try:
            await asyncio.wait_for(waited, PATIENCE_S)
        except TimeoutError:
            raise _Breach("nothing was taken in for too long") from None

    async def _listen(self) -> None:
        loop, since, count = asyncio.get_running_loop(), 0.0, 0
        while True:
            try:
                text = await self._socket.receive_text()
            except KeyError:
                raise _Breach("text only") from None
            if loop.time() - since > 1:
                since, count = loop.time(), 0
            if (count := count + 1) > MAX_WISHES_A_SECOND:
                raise _Breach("too many messages")
            try:
                wish = read_wish(text) if len(text) <= MAX_WISH_BYTES else None
            except ValueError:
                wish = None
            if wish is None:
                raise _Breach("not understood")
            if isinstance(wish, Seen):
                self._may_send.set()
            elif why := self._hub.do(wish):
                await self._in_time(self._socket.send_text(json.dumps({"refused": why})))


async def talk(socket: WebSocket, hub: Hub, address: Address) -> None:
    """Talk with whoever opened this websocket, if it may: from the page itself, and with the key where there is one."""
    origin, host = socket.headers.get("origin"), socket.headers.get("host")
    key = socket.query_params.get("key", "")
    if not is_same_page(origin, host) or not secrets.compare_digest(key.encode(), address.key.encode()):
        await socket.close(NOT_ALLOWED)  # before it is accepted: HTTP 403
        return
    await Talk(socket, hub).hold()
