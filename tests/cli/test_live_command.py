"""``cdipipe live`` and ``cdipipe replay`` as users type them: totals, exit codes, signals."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from cdipipe.cli.main import run
from cdipipe.io.cxi import read_measurement, read_reconstruction, write_measurement
from cdipipe.live.send import send
from cdipipe.live.sources.zmq import Stream
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="module")
def measurement(tmp_path_factory):
    scene = get_scene("polygons")
    path = tmp_path_factory.mktemp("live") / "m.cxi"
    write_measurement(path, simulate(scene, scene.parameters(size=32, photons=1e5, count=20), seed=0)[0])
    return path


def cdipipe(*arguments):
    command = [sys.executable, "-m", "cdipipe.cli.main", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_measurement_is_sent_to_whoever_receives(measurement, capsys):
    pytest.importorskip("zmq")
    address, found = f"tcp://127.0.0.1:{port()}", []
    stream = Stream(address)
    reader = threading.Thread(target=lambda: found.extend(itertools.islice(filter(None, stream.frames()), 20)))
    reader.start()
    assert run(["replay", str(measurement), "--zmq", address, "--rate", "500", "--stream", "1"]) == 0
    reader.join()
    stream.close()
    assert "20 frames sent" in capsys.readouterr().out and [frame.number for frame in found] == list(range(20))


def test_a_replay_ends_with_a_line_of_totals(measurement, tmp_path, capsys):
    assert run(["live", f"replay:{measurement}", "-m", "cdi_nn", "-o", str(tmp_path / "out.cxi")]) == 0
    told = capsys.readouterr().out
    assert "20 received, 20 phased, 0 dropped" in told and "patterns/s" in told and "p99" in told
    again = ["live", f"replay:{measurement}?frames=30", "-o", str(tmp_path / "more.cxi"), "--json", "--then", "5*ER"]
    assert run(again) == 0
    totals = json.loads(capsys.readouterr().out)
    assert totals["phased"] == 30 and totals["latency_p50_ms"] <= totals["latency_p99_ms"]
    assert read_reconstruction(tmp_path / "more.cxi").run_scores["iterated"].all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["live", "nothing", "-o", "o.cxi"], "expected a source such as"),
        (["live", "kafka:x", "-o", "o.cxi"], "kafka"),
        (["live", "dir:none", "-o", "o.cxi"], "no such file or folder"),
        (["live", "replay:none.cxi", "-o", "o.cxi"], "No such file"),
        (["live", "dir:.", "-m", "hio", "-o", "o.cxi"], "methods that predict"),
        (["live", "dir:.", "--then", "20*gps", "-o", "o.cxi"], "frame by frame"),
        (["live", "dir:.", "--import", "crob=1", "-o", "o.cxi"], "no option 'crob'"),
        (["live", "dir:.", "-o", "none/o.cxi"], "does not exist"),
        (["live", "dir:.", "-m", "dpr", "--set", "width=3", "-o", "o.cxi"], "width"),
        (["replay", "none.cxi", "--zmq", "tcp://127.0.0.1:1"], "No such file"),
    ],
)
def test_what_is_wrong_is_one_line(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == 2
    told = capsys.readouterr().err
    assert message in told and told.count("\n") == 1
    assert not os.path.exists("o.cxi")


def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_stream_ends_on_ctrl_c_with_all_that_came(measurement, tmp_path):
    pytest.importorskip("zmq")
    address, output = f"tcp://127.0.0.1:{port()}", tmp_path / "out.cxi"
    live = cdipipe("live", f"zmq:{address}", "-o", output, "--import", "centre=middle", "--json")
    assert send(read_measurement(measurement), address, 300, 60, wait_s=60)[0] == 60
    until = time.time() + 60
    while not output.exists() and time.time() < until:
        time.sleep(0.05)
    time.sleep(0.3)
    live.send_signal(signal.SIGINT)
    told, complaint = live.communicate(timeout=60)
    assert live.returncode == 130, complaint
    totals = json.loads(told)
    assert (totals["received"], totals["phased"], totals["dropped"], totals["missing"]) == (60, 60, 0, 0)
    frames = read_reconstruction(output).run_scores["frame_number"]
    assert np.sort(frames).tolist() == list(range(60)) and "nothing was written" not in complaint


def test_a_folder_ends_on_sigterm_with_all_that_came(tmp_path, capsys):
    before = signal.getsignal(signal.SIGTERM)
    for number in range(3):
        np.save(tmp_path / f"f_{number}.npy", np.full((32, 32), 5 + number, np.uint16))
    output = tmp_path / "out.cxi"
    threading.Thread(target=terminate_when, args=(output,)).start()
    with pytest.raises(SystemExit) as ended:
        run(["live", f"dir:{tmp_path}", "-o", str(output), "--import", "centre=middle", "--json"])
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    assert json.loads(capsys.readouterr().out)["phased"] == 3


def terminate_when(output):
    until = time.time() + 60
    while not output.exists() and time.time() < until:
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)
