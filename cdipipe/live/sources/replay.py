"""``replay:M.cxi?rate=500``: the patterns of a measurement at a given rate, as a detector would send them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from cdipipe.errors import InputError
from cdipipe.live.frames import Frame
from cdipipe.live.registry import FrameSource, Source
from cdipipe.measurement import Measurement

SETTINGS = {"rate": float, "frames": int}
LONGEST_SLEEP_S = 0.1


class Replay(FrameSource):
    """The patterns of a stack over and over.

    Parameters
    ----------
    measurement : stack ``shots`` or ``movie``, or a single pattern
    rate_hz : frames per second; None: as fast as they are taken
    count : frames in all; None: each pattern once
    """

    def __init__(self, measurement: Measurement, rate_hz: float | None = None, count: int | None = None):
        if measurement.stack == "volume":
            raise InputError("replay: a volume is one pattern; frames come from shots, movies and single patterns")
        self.template, self.rate_hz = measurement, rate_hz
        self.geometry = measurement.geometry
        self.patterns = measurement.intensity.reshape(-1, *measurement.pattern_shape)
        self.count = len(self.patterns) if count is None else count

    def frames(self) -> Iterator[Frame | None]:
        measured = self.template.measured if self.template.measured.ndim == 3 else None
        for number in in_time(self.count, self.rate_hz):
            if number is None:
                yield None
                continue
            index = number % len(self.patterns)
            own = None if measured is None else measured[index]
            yield Frame(number, time.perf_counter(), self.patterns[index], measured=own)


def in_time(count: int, rate_hz: float | None) -> Iterator[int | None]:
    """Numbers from 0 when they are due, and None while there is a longer wait; late ones catch up."""
    began = time.perf_counter()
    for number in range(count):
        while rate_hz is not None and (early_s := began + number / rate_hz - time.perf_counter()) > 0:
            time.sleep(min(early_s, LONGEST_SLEEP_S))
            if early_s > LONGEST_SLEEP_S:
                yield None
        yield number


def parse(address: str) -> tuple[str, float | None, int | None]:
    """File, rate and count of ``M.cxi?rate=500&frames=1000``, of which ``M.cxi?500`` is the short form.

    Raises
    ------
    InputError   unknown words, or numbers that are none
    """
    file, mark, query = address.rpartition("?")
    if not mark:
        return address, None, None
    found = {}
    for word in query.split("&"):
        name, equals, value = word.partition("=")
        if not equals:
            name, value = "rate", word
        if name not in SETTINGS or not re.fullmatch(r"[\d.eE+]+", value):
            raise InputError(f"replay:{address}: '{word}' is not understood; write replay:M.cxi?rate=500&frames=1000")
        try:
            found[name] = SETTINGS[name](value)
        except ValueError:
            raise InputError(f"replay:{address}: {value} is not a number for {name}") from None
        if not found[name] > 0:
            raise InputError(f"replay:{address}: {name} must be above 0")
    return file, found.get("rate"), found.get("frames")


def open_replay(address: str) -> Replay:
    """The source of an address, see :func:`parse`."""
    from cdipipe.io.cxi import read_measurement

    file, rate_hz, count = parse(address)
    return Replay(read_measurement(file), rate_hz, count)


SOURCE = Source("replay", "patterns of a measurement at a given rate: replay:M.cxi?rate=500", open_replay)
