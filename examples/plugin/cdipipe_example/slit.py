"""A source of frames for ``cdipipe live``: ``slit:30`` is thirty frames of a slit, ten a second."""

import time

import numpy as np

from cdipipe.errors import InputError
from cdipipe.live.frames import Frame
from cdipipe.live.registry import FrameSource, Source


class Slit(FrameSource):
    def __init__(self, address):
        if not address.isdigit():
            raise InputError(f"slit:{address}: expected a number of frames, such as slit:30")
        self.count = int(address)

    def frames(self):
        row, column = np.mgrid[-16:16, -16:16]
        light = 1e3 * np.sinc(row / 6) ** 2 * np.sinc(column / 4) ** 2
        for number in range(self.count):
            yield Frame(number, time.perf_counter(), np.random.default_rng(number).poisson(light))
            time.sleep(0.1)
            yield None  # nothing is there now: whoever waits may end here


SOURCE = Source("slit", "frames of a slit: slit:COUNT", Slit)
