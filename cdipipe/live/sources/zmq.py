"""``zmq:tcp://HOST:PORT``: the stream of a DECTRIS detector (SIMPLON), version 1 or 2, which the messages tell."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.live import dectris
from cdipipe.live.frames import Frame
from cdipipe.live.registry import FrameSource, Source

PATIENCE_MS = 50
WAITING_MESSAGES = 1000
"""Messages that ZeroMQ holds for us beside our own queue; then the detector holds them."""
logger = logging.getLogger("cdipipe")


class Stream(FrameSource):
    """Frames of a stream. A detector that goes away and comes back, or begins a new series, is read on.

    Parameters
    ----------
    address : of the detector's PUSH socket, ``tcp://HOST:PORT``; 9999 is the port of version 1, 31001 of version 2
    """

    def __init__(self, address: str):
        zmq = import_zmq()
        if not address.startswith(("tcp://", "ipc://")):
            raise InputError(f"zmq:{address}: expected zmq:tcp://HOST:PORT, the address of the detector's stream")
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, WAITING_MESSAGES)
        self._socket.setsockopt(zmq.LINGER, 0)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise InputError(f"zmq:{address}: {error}") from None
        self._zmq = zmq

    def frames(self) -> Iterator[Frame | None]:
        while True:
            if not self._socket.poll(PATIENCE_MS):
                yield None
                continue
            while (parts := self._next()) is not None:
                frame = self._take(parts, time.perf_counter())
                if frame is not None:
                    yield frame

    def _next(self) -> list[bytes] | None:
        try:
            return self._socket.recv_multipart(self._zmq.NOBLOCK)
        except self._zmq.Again:
            return None

    def _take(self, parts: list[bytes], now: float) -> Frame | None:
        """The frame of a message; None for those without one."""
        try:
            message = dectris.parse(parts)
        except ValueError as error:
            return Frame(-1, now, None, fault=str(error))
        if message.kind == "image":
            return Frame(message.number, now, message.read, message.series)
        if message.kind == "start":
            self.geometry = Geometry(**message.facts)
            self.mask = message.mask
            logger.info("zmq: series %d begins", message.series)
        return None

    def close(self) -> None:
        self._socket.close()
        self._context.term()


def import_zmq():
    """The ZeroMQ library. Raises InputError where it is not installed."""
    extras.load("cbor2", "zmq:")  # asked for at once, not in the middle of a beam time
    return extras.load("zmq", "zmq:")


SOURCE = Source("zmq", "stream of a DECTRIS detector: zmq:tcp://HOST:PORT", Stream, when_full="drop-oldest")
