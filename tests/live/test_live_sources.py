"""Frames from files that appear and grow, from a stream, and from a measurement at a rate."""

from __future__ import annotations

import lzma
import socket
import subprocess
import sys
import threading
import time

import fabio
import h5py
import numpy as np
import pytest
import tifffile

from cdipipe.errors import InputError
from cdipipe.live.registry import SOURCES, find_source
from cdipipe.live.send import send, whole_counts
from cdipipe.live.sources import dir as folders
from cdipipe.live.sources.dir import Folder
from cdipipe.live.sources.replay import Replay, parse
from cdipipe.live.sources.zmq import Stream


@pytest.fixture
def collect():
    """A function that reads frames of a source until there are enough, or nothing came for a while."""
    sources = []

    def take(source, count, patience_s=8.0):
        sources.append(source)
        frames, newest = [], time.time()
        for frame in source.frames():
            if frame is not None:
                frames.append(frame)
                newest = time.time()
            if len(frames) == count or time.time() - newest > patience_s:
                return frames
        return frames

    yield take
    for source in sources:
        source.close()


def numbers(frames):
    return [(frame.series, frame.number) for frame in frames]


def images(count=5, shape=(6, 8)):
    return np.random.default_rng(0).poisson(3, (count, *shape)).astype(np.uint16)


# ---- files


@pytest.mark.parametrize("suffix", ["tif", "cbf", "npy", "npy.xz"])
def test_files_are_read_as_they_appear_in_the_order_of_their_numbers(tmp_path, collect, suffix):
    values = images().astype(np.int32 if suffix == "cbf" else np.uint16)

    def write(number):
        path = tmp_path / f"scan_{number}.{suffix}"
        if suffix == "tif":
            tifffile.imwrite(path, values[number - 8])
        elif suffix.startswith("npy"):
            with lzma.open(path, "wb") if suffix.endswith("xz") else open(path, "wb") as file:
                np.save(file, values[number - 8])
        else:
            fabio.cbfimage.CbfImage(data=values[number - 8]).write(str(path))

    for number in (10, 9, 8):
        write(number)
    later = threading.Timer(0.3, lambda: [write(number) for number in (11, 12)])
    later.start()
    frames = collect(Folder(str(tmp_path)), 5)
    assert numbers(frames) == [(0, number) for number in range(8, 13)]
    np.testing.assert_array_equal([frame.read() for frame in frames], values)


def test_a_file_that_is_still_written_is_waited_for_and_a_damaged_one_given_up(tmp_path, collect, monkeypatch):
    monkeypatch.setattr(folders, "PATIENCE_S", 0.6)
    values = images()
    tifffile.imwrite(tmp_path / "whole.tif", values[0])
    content = (tmp_path / "whole.tif").read_bytes()
    (tmp_path / "whole.tif").unlink()
    (tmp_path / "f_1.tif").write_bytes(content[:40])
    (tmp_path / "f_2.tif").write_bytes(b"no picture at all")
    threading.Timer(0.3, lambda: (tmp_path / "f_1.tif").write_bytes(content)).start()
    found = {frame.number: frame for frame in collect(Folder(str(tmp_path)), 2)}
    np.testing.assert_array_equal(found[1].read(), values[0])
    assert found[2].values is None and "f_2.tif" in found[2].fault


SWMR = """
import sys, time, h5py, numpy as np
values = np.load(sys.argv[2])
with h5py.File(sys.argv[1], "w", libver="latest") as file:
    stored = file.create_dataset("entry/data/data", (0, *values.shape[1:]), values.dtype,
                                 maxshape=(None, *values.shape[1:]), chunks=(1, *values.shape[1:]))
    file.swmr_mode = True
    for index, image in enumerate(values):
        stored.resize(index + 1, axis=0)
        stored[index] = image
        stored.flush()
        time.sleep(0.05)
"""


def test_a_file_is_read_while_another_process_writes_it(tmp_path, collect):
    values = images(12)
    np.save(tmp_path / "values.npy", values)
    path = tmp_path / "run.h5"
    writer = subprocess.Popen([sys.executable, "-c", SWMR, str(path), str(tmp_path / "values.npy")])
    while not path.exists():
        time.sleep(0.02)
    frames = collect(Folder(str(path)), 12)
    assert writer.wait() == 0
    assert [frame.number for frame in frames] == list(range(12))
    np.testing.assert_array_equal([frame.read() for frame in frames], values)


def test_files_of_many_frames_are_series_and_masters_give_way(tmp_path, collect):
    values = images(6)
    for number in (1, 2):
        with h5py.File(tmp_path / f"s_data_{number}.h5", "w") as file:
            file["entry/data/data"] = values[3 * (number - 1) : 3 * number]
    (tmp_path / "s_master.h5").write_bytes(b"links only")
    frames = collect(Folder(str(tmp_path)), 6)
    assert numbers(frames) == [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    np.testing.assert_array_equal([frame.read() for frame in frames], values)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        Folder(str(tmp_path / "none"))


# ---- streams


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("version", [1, 2])
def test_a_measurement_goes_through_a_socket_unchanged(shots, collect, version):
    zmq = pytest.importorskip("zmq")
    address = f"tcp://127.0.0.1:{free_port()}"
    stream = Stream(address)
    sender = threading.Thread(target=send, args=(shots, address, None, 30, version))
    sender.start()
    frames = collect(stream, 30)
    sender.join()
    assert numbers(frames) == [(1, number) for number in range(30)]
    np.testing.assert_array_equal([frame.read() for frame in frames[12:24]], whole_counts(shots))
    assert zmq


def test_a_detector_that_starts_anew_and_one_that_sends_nonsense(shots, collect):
    zmq = pytest.importorskip("zmq")
    address = f"tcp://127.0.0.1:{free_port()}"
    stream = Stream(address)
    found = []
    reader = threading.Thread(target=lambda: found.extend(collect(stream, 8)))
    reader.start()
    send(shots, address, None, 4)
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.bind(address)
        push.send_multipart([b"\x00\x01nonsense", b"more"])
    send(shots, address, None, 3)
    reader.join()
    assert [frame.number for frame in found] == [0, 1, 2, 3, -1, 0, 1, 2]
    assert found[4].values is None and found[4].fault


def test_addresses_that_cannot_be(shots):
    pytest.importorskip("zmq")
    with pytest.raises(InputError, match="tcp://HOST:PORT"):
        Stream("localhost:9999")
    with pytest.raises(InputError, match="nobody received"):
        send(shots, f"tcp://127.0.0.1:{free_port()}", wait_s=0.05)


# ---- measurements


def test_a_replay_keeps_its_rate(shots):
    frames = [frame for frame in Replay(shots, 200.0, 60).frames() if frame is not None]
    assert [frame.number for frame in frames] == list(range(60))
    assert frames[-1].arrived_s - frames[0].arrived_s == pytest.approx(59 / 200, abs=0.1)
    np.testing.assert_array_equal(frames[13].values, shots.intensity[1])


def test_addresses_of_replays():
    assert parse("m.cxi") == ("m.cxi", None, None)
    assert parse("m.cxi?500") == ("m.cxi", 500.0, None)
    assert parse("a?b.cxi?rate=2e3&frames=10") == ("a?b.cxi", 2000.0, 10)
    for wrong in ("m.cxi?speed=3", "m.cxi?rate=0", "m.cxi?frames=1.5", "m.cxi?fast"):
        with pytest.raises(InputError, match="replay:"):
            parse(wrong)


def test_sources_by_name(tmp_path):
    assert SOURCES.names()[:3] == ["dir", "replay", "zmq"]
    assert find_source("zmq:tcp://a:1") == (SOURCES.get("zmq"), "tcp://a:1")
    for wrong in ("data.cxi", "dir:"):
        with pytest.raises(InputError, match=r"dir:FOLDER"):
            find_source(wrong)
    with pytest.raises(InputError, match="kafka"):
        find_source("kafka:topic")
