"""A growing file: read by others while it is written, safe when its writer dies or cannot write."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import h5py
import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.geometry import Geometry
from cdipipe.io.cxi import read_reconstruction
from cdipipe.live.monitor import Results
from cdipipe.live.writer import Writer

SHAPE = (8, 8)


def results(first, count=64):
    numbers = np.arange(first, first + count)
    objects = np.ones((count, *SHAPE), np.complex64) * (numbers[:, None, None] + 1)
    scores = numbers.astype(np.float32)
    about = (numbers, numbers * 0, scores.astype(float), scores, scores, scores, numbers % 2 == 0)
    return Results(*about, objects.real, objects != 0, objects, objects != 0)


def make(path, **more):
    geometry = Geometry(energy_ev=8000.0)
    given = {"warn": lambda text: None, "is_urgent": lambda: False} | more
    return Writer(path, SHAPE, geometry, "cdi_nn", {"method": "cdi_nn"}, {}, **given)


READER = """
import sys, h5py
with h5py.File(sys.argv[1], "r", swmr=True) as file:
    print(file["entry_1/image_1/data"].shape[0], int(file["entry_1/run_scores/frame_number"][-1]))
"""


def test_another_process_reads_what_was_flushed(tmp_path):
    path = tmp_path / "out.cxi"
    writer = make(path)
    for first in (0, 64):
        writer.append(results(first))
        told = subprocess.run([sys.executable, "-c", READER, path], capture_output=True, text=True, check=True).stdout
        assert told.split() == [str(first + 64), str(first + 63)]
    assert len(read_reconstruction(path).object) == 128  # by our own reader, too
    writer.append(results(128, 3))
    writer.close({"phased": 131})
    found = read_reconstruction(path)
    np.testing.assert_array_equal(found.object[:, 0, 0], np.arange(131) + 1)
    assert found.geometry.energy_ev == 8000 and found.run_scores["iterated"][:2].tolist() == [1, 0]
    with h5py.File(path) as file:  # closed: no longer in the state of a file that is written
        assert b"131" in file["entry_1/image_1/process_1/live"][()]


WRITE_AND = """
    import os, resource, signal, sys
    sys.path.insert(0, {folder!r})
    from test_live_writer import make, results
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    writer = make({path!r})
    for first in range(0, 256, 64):
        writer.append(results(first))
"""
KILLED = "    os.kill(os.getpid(), signal.SIGKILL)"
NO_ROOM = """
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize({path!r}) + 20_000,) * 2)
    try:
        for first in range(256, 10**5, 64):
            writer.append(results(first))
    except OSError as error:
        assert error.filename == {path!r}
        writer.abandon()
        print(writer.rows)
"""


@pytest.mark.parametrize(("ending", "code"), [(KILLED, -9), (NO_ROOM, 0)], ids=["killed", "quota"])
def test_what_was_flushed_outlives_a_writer_that_dies_or_has_no_room(tmp_path, ending, code):
    path = tmp_path / "out.cxi"
    text = textwrap.dedent((WRITE_AND + ending).format(folder=str(__file__).rpartition("/")[0], path=str(path)))
    run = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert run.returncode == code, run.stderr
    rows = int(run.stdout) if run.stdout else 256
    found = read_reconstruction(path)
    assert len(found.object) >= rows >= 256
    np.testing.assert_array_equal(found.object[:rows, 0, 0], np.arange(rows) + 1)
    assert found.run_scores["frame_number"][:rows].tolist() == list(range(rows))


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "there.cxi").touch()
    for path, wrong in ((tmp_path / "there.cxi", "exists already"), (tmp_path / "no" / "o.cxi", "does not exist")):
        with pytest.raises(InputError, match=wrong):
            make(path)
