"""A measurement as the stream of a DECTRIS detector: the other end of ``zmq:``."""

from __future__ import annotations

import time

import numpy as np

from cdipipe.errors import InputError
from cdipipe.live.dectris_compression import Compression
from cdipipe.live.dectris_writer import Writer
from cdipipe.live.sources.replay import in_time
from cdipipe.live.sources.zmq import import_zmq
from cdipipe.measurement import Measurement

UNMEASURED = 2**32 - 1


def send(
    measurement: Measurement,
    address: str,
    rate_hz: float | None = None,
    count: int | None = None,
    version: int = 2,
    compression: Compression = "bslz4",
    wait_s: float = 30.0,
) -> tuple[int, float]:
    """Send frames; gives how many and how long it took.

    Parameters
    ----------
    measurement : whole counts; patterns are sent over and over
    address : to listen on, ``tcp://127.0.0.1:PORT``
    rate_hz : frames per second; None: as fast as they are taken
    count : frames in all; None: each pattern once
    version, compression : of the stream
    wait_s : how long to wait for a receiver, and for the rest to be taken

    Raises
    ------
    InputError   counts that are not whole, an address that cannot be, or nobody who receives
    """
    zmq = import_zmq()
    patterns = whole_counts(measurement)
    g = measurement.geometry
    facts = {name: getattr(g, name) for name in ("energy_ev", "distance_m", "pixel_x_m", "pixel_y_m")}
    writer = Writer(2 if version == 2 else 1, compression, facts=facts)
    count = len(patterns) if count is None else count
    context = zmq.Context()
    socket = context.socket(zmq.PUSH)
    socket.setsockopt(zmq.LINGER, int(1e3 * wait_s))
    try:
        try:
            socket.bind(address)
        except zmq.ZMQError as error:
            raise InputError(f"--zmq {address}: {error}") from None
        if not socket.poll(int(1e3 * wait_s), zmq.POLLOUT):
            raise InputError(f"--zmq {address}: nobody received within {wait_s:g} s; start `cdipipe live zmq:...`")
        socket.send_multipart(writer.start(patterns.shape[1:], count))
        packed: dict[int, bytes] = {}
        began = time.perf_counter()
        for number in in_time(count, rate_hz):
            if number is not None:
                socket.send_multipart(_image(writer, number, patterns, packed))
        took = time.perf_counter() - began
        socket.send_multipart(writer.end())
    finally:
        socket.close()
        context.term()
    return count, took


def _image(writer: Writer, number: int, patterns, packed: dict[int, bytes]) -> list[bytes]:
    """The message of a frame; a pattern is packed once, since a detector has hardware for that."""
    index = number % len(patterns)
    if index not in packed:
        packed[index] = writer.pack(patterns[index])
    return writer.image(number, patterns[index], packed[index])


def whole_counts(measurement: Measurement) -> np.ndarray:
    """Patterns (N, H, W) as uint32, unmeasured pixels with the detector's mark 2^32 - 1.

    Raises
    ------
    InputError   counts that are not whole numbers: a detector's stream has no others
    """
    counts = measurement.intensity.reshape(-1, *measurement.pattern_shape)
    measured = np.broadcast_to(measurement.measured, counts.shape)
    counts = np.where(measured, counts, np.float32(0))
    if (counts % 1).any() or (counts < 0).any():
        raise InputError("replay: detectors send whole counts; this measurement has fractions or negative ones")
    return np.where(measured, counts.astype(np.uint32), np.uint32(UNMEASURED))
