import errno
import os
import resource
import subprocess
import sys

import pytest

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path, check_output


def test_the_output_appears_with_its_content_and_nothing_else(tmp_path):
    with atomic_path(tmp_path / "a.cxi") as part:
        part.write_text("new")
        assert part.parent == tmp_path and part.suffix == ".cxi"
        assert not (tmp_path / "a.cxi").exists()
    assert (tmp_path / "a.cxi").read_text() == "new"
    assert os.listdir(tmp_path) == ["a.cxi"]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_the_old_file_and_no_other(tmp_path, failure):
    (tmp_path / "a").write_text("old")
    with pytest.raises(failure), atomic_path(tmp_path / "a") as part:
        part.write_text("half")
        raise failure
    assert (tmp_path / "a").read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_folder_can_be_made_whole_or_not_at_all(tmp_path):
    with atomic_path(tmp_path / "good") as part:
        part.mkdir()
        (part / "x").write_text("1")
    with pytest.raises(ValueError), atomic_path(tmp_path / "bad") as part:
        part.mkdir()
        (part / "x").write_text("1")
        raise ValueError
    assert os.listdir(tmp_path) == ["good"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with atomic_path(tmp_path / "link") as part:
        part.write_text("x")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "x"


def test_places_that_cannot_be_written_are_named(tmp_path):
    with pytest.raises(InputError, match=r"folder .*nowhere does not exist"):
        check_output(tmp_path / "nowhere" / "a")
    with pytest.raises(InputError, match="it is a folder"):
        check_output(tmp_path)
    with pytest.raises(InputError, match="not a regular file"):
        check_output("/dev/null")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="does not exist"):
        check_output(tmp_path / "file" / "a")


def test_no_permission_is_an_error_of_the_system(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda place, mode: False)
    with pytest.raises(PermissionError) as caught:
        check_output(tmp_path / "a")
    assert caught.value.errno == errno.EACCES and str(tmp_path) in str(caught.value)


def test_a_full_disk_names_the_output_and_not_the_temporary_file(tmp_path):
    with pytest.raises(OSError) as caught, atomic_path(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert caught.value.filename == str(tmp_path / "a")


LIMITED_WRITE = """
import resource, sys
import numpy as np
from cdipipe.io.cxi import write_measurement
from cdipipe.measurement import Measurement
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
counts = np.random.default_rng(0).random((200, 200), dtype=np.float32)
try:
    write_measurement(sys.argv[1], Measurement(counts, np.ones((200, 200), bool)))
except OSError as error:
    print(error.errno, error.filename)
"""


def test_a_write_that_fails_halfway_leaves_nothing(tmp_path):
    """The limit on file sizes stops HDF5 in the middle, as a full disk would."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED_WRITE, str(tmp_path / "a.cxi")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(errno.EFBIG), str(tmp_path / "a.cxi")]
    assert os.listdir(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20000


def test_what_a_killed_process_left_is_removed_and_what_lives_stays(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, other = tmp_path / f".R.{dead.pid}.part.cxi", tmp_path / f".R2.{dead.pid}.part.cxi"
    alive = tmp_path / f".R.{os.getppid()}.part.cxi"
    for path in (left, other, alive):
        path.write_text("half")
    with atomic_path(tmp_path / "R.cxi") as part:
        part.write_text("whole")
    assert not left.exists() and other.exists() and alive.exists()
