"""Frames, sources and engines that live tests share."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import page_client
import pytest

from cdipipe.io.cxi import read_reconstruction
from cdipipe.io.importing.options import ImportOptions
from cdipipe.live.engine import Engine
from cdipipe.live.monitor import Monitor
from cdipipe.live.page import make_page
from cdipipe.live.plan import Plan
from cdipipe.live.registry import FrameSource
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="session")
def shots():
    """Twelve patterns of 32 x 32."""
    scene = get_scene("polygons")
    return simulate(scene, scene.parameters(size=32, photons=1e5, count=12), seed=0)[0]


class Listed(FrameSource):
    """Frames of a list; None is a moment without one, a function is called."""

    def __init__(self, items):
        self.items = items

    def frames(self):
        for item in self.items:
            if callable(item):
                item()
            elif item is None:
                time.sleep(0.01)
                yield None
            else:
                yield item


@pytest.fixture
def live(tmp_path: Path):
    """Run frames (or a source) through an engine: totals, monitor, and what is in the file."""

    def run(source, threshold=None, method="cdi_nn", options=None, settings=None, **plan):
        source = source if isinstance(source, FrameSource) else Listed(source)
        output = tmp_path / "out.cxi"
        monitor = Monitor("listed", method, threshold)
        plan = {"batch": 4, "wait_s": 0.01, "workers": 1} | plan
        engine = Engine(source, Plan(settings or {}, options or ImportOptions(), **plan), output, monitor, {})
        run.engine, run.monitor, run.output = engine, monitor, output
        totals = engine.run()
        return totals, read_reconstruction(output) if output.exists() else None

    return run


@pytest.fixture
def raw(shots):
    """The patterns as a detector has them, uint32."""
    return shots.intensity.astype(np.uint32)


@pytest.fixture
def monitor() -> Monitor:
    """A run of which 40 frames were phased."""
    monitor = Monitor("replay:shots.cxi", "cdi_nn", 5.0, 256)
    monitor.note_state("running")
    page_client.feed(monitor, 0, 40)
    return monitor


@pytest.fixture
def page(monitor):
    with make_page(monitor, "127.0.0.1:0", ["cdi_nn", "dpr"]) as page:
        yield page
