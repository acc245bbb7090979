"""The web server of the page, in a thread of its own beside the engine's."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from importlib import resources

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from cdipipe.live.monitor import Monitor
from cdipipe.live.page.address import Address, may_ask, parse_address
from cdipipe.live.page.hub import PERIOD_S, Hub
from cdipipe.live.page.messages import MAX_WISH_BYTES
from cdipipe.live.page.talk import talk

FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "connection.js": "text/javascript",
    "message.js": "text/javascript",
    "pictures.js": "text/javascript",
    "curves.js": "text/javascript",
    "colours.js": "text/javascript",
    "controls.js": "text/javascript",
    "numbers.js": "text/javascript",
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
MAX_CONNECTIONS = 32
SILENCE_S = 10.0
"""A connection that asks for nothing for so long is shut."""
MAX_HEAD_BYTES = 16384
LAST_ROUND_S, STOP_S = 1.5, 3.0
"""How long the end of the run waits for browsers to take in its last results, and for the server to close."""


class Page:
    """The page of a live run; open while it is used as a context, or from :meth:`start` to :meth:`stop`.

    Parameters
    ----------
    monitor : of the run
    address : ``HOST:PORT``, see :func:`cdipipe.live.page.address.parse_address`; port 0: any that is free
    methods : that may be asked for; by default the monitor's alone
    is_open : whether other computers may reach it

    Raises
    ------
    InputError
        The address cannot be used.
    """

    def __init__(self, monitor: Monitor, address: str, methods: Sequence[str] = (), is_open: bool = False) -> None:
        self._address = parse_address(address, is_open)
        self._hub = Hub(monitor, methods or (monitor.controls.method,))
        self._socket = self._address.listen()
        self.url = self._address.url(self._socket.getsockname()[1])
        self._server = uvicorn.Server(_config(make_app(self._hub, self._address)))
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), name="page", daemon=True)

    @property
    def warning(self) -> str:
        """What whoever opened the page to other computers should know; empty on loopback."""
        if self._address.is_loopback:
            return ""
        return "whoever has this address, key and all, sees and controls the run; it is not encrypted"

    @property
    def is_watched(self) -> bool:
        """Whether a browser is connected."""
        return self._hub.watchers > 0

    @property
    def thread_ident(self) -> int | None:
        """Of the thread that serves, for :func:`time.pthread_getcpuclockid`; None before :meth:`start`."""
        return self._thread.ident

    def start(self) -> None:
        """Serve until :meth:`stop`."""
        self._thread.start()

    def stop(self) -> None:
        """Show the end of the run to whoever watches, and close."""
        if self._thread.is_alive():
            late = time.monotonic() + LAST_ROUND_S
            while self._hub.is_watched_to_the_end and time.monotonic() < late:
                time.sleep(PERIOD_S / 2)
            self._server.should_exit = True
            self._thread.join(STOP_S)
        self._socket.close()

    def __enter__(self) -> Page:
        self.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    async def _serve(self) -> None:
        fresh = asyncio.create_task(self._hub.keep_fresh())
        await self._server.serve([self._socket])
        fresh.cancel()


def make_app(hub: Hub, address: Address) -> ASGIApp:
    """The files of the page, its websocket, and nothing else."""
    routes: list = [WebSocketRoute("/live", _talker(hub, address))]
    folder = resources.files("cdipipe.live.page") / "static"
    for name, kind in FILES.items():
        routes.append(Route("/" if name == "index.html" else f"/{name}", _giver((folder / name).read_bytes(), kind)))
    return _Guard(Starlette(routes=routes, exception_handlers={HTTPException: _refuse}), address)


def _talker(hub: Hub, address: Address):
    async def endpoint(socket: WebSocket) -> None:
        await talk(socket, hub, address)

    return endpoint


def _giver(data: bytes, kind: str):
    async def endpoint(_: Request) -> Response:
        return Response(data, media_type=f"{kind}; charset=utf-8", headers=HEADERS)

    return endpoint


async def _refuse(_: Request, error: HTTPException) -> Response:
    return PlainTextResponse(error.detail, error.status_code, headers=HEADERS)


class _Guard:
    """Answers only who calls the page by a name that it has."""

    def __init__(self, app: ASGIApp, address: Address) -> None:
        self._app = app
        self._address = address

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        if len(hosts) == 1 and may_ask(hosts[0], self._address):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("not a name of this page", 403, headers=HEADERS)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})


class _Door(H11Protocol):
    """At most so many connections, and none that says nothing: the engine needs its files, too."""

    def connection_made(self, transport) -> None:  # type: ignore[override]
        if len(self.connections) >= MAX_CONNECTIONS:
            transport.abort()
        super().connection_made(transport)
        self.loop.call_later(SILENCE_S, self._shut_if_silent)

    def _shut_if_silent(self) -> None:
        if self in self.connections and self.cycle is None:
            self.transport.abort()


def _config(app: ASGIApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_Door,
        ws=WebSocketsSansIOProtocol,
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        ws_max_size=MAX_WISH_BYTES,
        ws_per_message_deflate=False,
        h11_max_incomplete_event_size=MAX_HEAD_BYTES,
        timeout_graceful_shutdown=1,
    )
