"""``cdipipe live --page``: where the page is, and what is refused."""

from __future__ import annotations

import re
import socket
import sys

import pytest

from cdipipe.cli.main import run
from cdipipe.errors import InputError
from cdipipe.io.cxi import write_measurement
from cdipipe.live.monitor import Monitor
from cdipipe.live.page import make_page
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="module")
def replay(tmp_path_factory) -> str:
    scene = get_scene("polygons")
    shots = simulate(scene, scene.parameters(size=32, photons=1e5, count=4), seed=0)[0]
    write_measurement(path := tmp_path_factory.mktemp("replay") / "shots.cxi", shots)
    return f"replay:{path}"


def test_the_address_is_told_and_the_run_is_the_same(replay, tmp_path, capsys):
    assert run(["live", replay, "-o", str(tmp_path / "out.cxi"), "--page", "127.0.0.1:0"]) == 0
    told = capsys.readouterr()
    assert re.fullmatch(r"live: page at http://127\.0\.0\.1:\d+/\n", told.err)
    assert "4 received, 4 phased, 0 dropped" in told.out


def test_an_open_page_is_warned_of(replay, tmp_path, capsys):
    assert run(["live", replay, "-o", str(tmp_path / "out.cxi"), "--page", "0.0.0.0:0", "--page-open"]) == 0
    assert re.search(r"page at http://\S+:\d+/\?key=\S{20,}; whoever has this address", capsys.readouterr().err)


def test_what_cannot_be_a_page_is_refused_before_anything_runs(replay, tmp_path, capsys):
    output = tmp_path / "out.cxi"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = [["--page", "0.0.0.0:8050"], ["--page", "here"], ["--page-open"]]
        wrong.append(["--page", f"127.0.0.1:{taken.getsockname()[1]}"])
        for options in wrong:
            assert run(["live", replay, "-o", str(output), *options]) == 2
            told = capsys.readouterr()
            assert told.err.count("\n") == 1 and "--page" in told.err and not told.out and not output.exists()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "cdipipe.live.page.server", raising=False)
    with pytest.raises(InputError, match=r"--page: uvicorn is not installed; pip install 'cdipipe\[live\]'"):
        make_page(Monitor(), "127.0.0.1:0")
