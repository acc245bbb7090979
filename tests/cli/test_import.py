import errno
import gzip
import io
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest

from cdipipe.io.cxi import read_measurement


@pytest.fixture
def counts(tmp_path):
    rng = np.random.default_rng(0)
    y, x = np.ogrid[-16:16, -20:20]
    values = rng.poisson(500 * np.exp(-(y**2 + x**2) / 40)).astype(np.int32)
    np.save(tmp_path / "counts.npy", values)
    return tmp_path / "counts.npy"


def test_a_file_becomes_a_measurement_with_its_history(cli, counts, tmp_path):
    done = cli("import", counts, "-o", tmp_path / "m.cxi", "--energy-ev", 9000, "--distance-m", 0.5, "--pixel-m", 55e-6)
    assert (done.code, done.err) == (0, "")
    photons = np.load(counts).sum()
    assert f"photons: {photons} read, {photons} kept" in done.out and "masked: 0.00 %" in done.out
    read = read_measurement(tmp_path / "m.cxi")
    assert np.array_equal(read.intensity, np.load(counts)) and read.geometry.energy_ev == 9000
    assert list(read.provenance["inputs"]) == ["counts.npy"]
    assert read.provenance["import"]["photons_kept"] == photons


def test_options_are_recorded_and_the_losses_told(cli, counts, tmp_path):
    arguments = ["--saturation", 400, "--threshold", 2, "--crop", "16", "--bin", "2"]
    done = cli("import", counts, "-o", tmp_path / "m.cxi", *arguments)
    assert "saturated" in done.out and "is now at (8, 8)" in done.out
    record = read_measurement(tmp_path / "m.cxi").provenance["import"]
    assert record["options"]["bin"] == [2] and record["options"]["saturation"] == 400
    assert record["masked"]["saturated"] == int((np.load(counts) >= 400).sum())


def test_an_uncentred_pattern_is_pointed_out(cli, tmp_path, counts):
    np.save(tmp_path / "moved.npy", np.roll(np.load(counts), 6, 0))
    assert "--crop SIZE centres it" in cli("import", tmp_path / "moved.npy", "-o", tmp_path / "m.cxi").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--stack", "pile"], "--stack pile: expected shots, movie, volume or raster"),
        (["--crop", "a,b"], "--crop a,b: expected whole numbers"),
        (["--crop", "0"], "at least 1"),
        (["--bin", "2,2,2"], "patterns have 2 axes"),
        (["--roi", "1"], "--roi 1: expected row,column"),
        (["--energy-ev", "-5"], "--energy-ev -5: expected a positive number"),
        (["--distance-m", "nan"], "--distance-m nan"),
        (["--axis", "7"], "--axis 7"),
        (["--mask", "missing.npy"], "missing.npy: No such file"),
        (["--mask-bda"], "--mask-bda"),
        (["--dataset", "x"], "an npy file holds one array"),
    ],
)
def test_wrong_options_are_one_line_and_leave_nothing(cli, counts, tmp_path, arguments, expected):
    (tmp_path / "out").mkdir()
    assert expected in cli("import", counts, "-o", tmp_path / "out" / "m.cxi", *arguments).complaint
    assert os.listdir(tmp_path / "out") == []


def test_a_threshold_of_zero_is_no_mistake(cli, counts, tmp_path):
    assert cli("import", counts, "-o", tmp_path / "m.cxi", "--threshold", 0).code == 0


def bad_inputs(folder):
    good = np.ones((8, 8))
    arrays = {"zero": 0 * good, "nan": good * np.nan, "negative": -good, "line": good[0], "four": np.ones((2, 2, 8, 8))}
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    np.save(folder / "good.npy", good)
    (folder / "truncated.npy").write_bytes((folder / "good.npy").read_bytes()[:-9])
    (folder / "text.h5").write_text("hello")


@pytest.mark.parametrize(
    "name", ["zero.npy", "nan.npy", "negative.npy", "line.npy", "four.npy", "truncated.npy", "text.h5", "none.npy"]
)
@pytest.mark.parametrize("command", ["import", "info"])
def test_bad_inputs_are_one_line_that_names_them_and_leave_nothing(cli, tmp_path, name, command):
    bad_inputs(tmp_path)
    (tmp_path / "m.cxi").write_text("precious")
    before = sorted(os.listdir(tmp_path))
    output = ["-o", tmp_path / "m.cxi"] if command == "import" else []
    done = cli(command, tmp_path / name, *output)
    if command == "import" or done.code != 0:
        assert name in done.complaint
    assert sorted(os.listdir(tmp_path)) == before and (tmp_path / "m.cxi").read_text() == "precious"


def test_outputs_that_cannot_be_written(cli, counts, tmp_path, monkeypatch):
    assert "does not exist" in cli("import", counts, "-o", tmp_path / "no" / "m.cxi").complaint
    assert "it is a folder" in cli("import", counts, "-o", tmp_path).complaint
    assert "would replace an input" in cli("import", counts, "-o", counts).complaint
    assert "not a regular file" in cli("import", counts, "-o", "/dev/full").complaint
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "Permission denied" in cli("import", counts, "-o", tmp_path / "m.cxi").complaint
    assert os.listdir(tmp_path) == ["counts.npy"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fails_halfway(cli, counts, tmp_path, monkeypatch, code):
    from cdipipe.io.hdf5 import _Sink

    original, written = _Sink._write_all, []

    def fail_later(self, buffer):
        written.append(len(buffer))
        if len(written) > 3:
            raise OSError(code, os.strerror(code))
        original(self, buffer)

    monkeypatch.setattr(_Sink, "_write_all", fail_later)
    (tmp_path / "m.cxi").write_text("precious")
    assert os.strerror(code) in cli("import", counts, "-o", tmp_path / "m.cxi").complaint
    assert sorted(os.listdir(tmp_path)) == ["counts.npy", "m.cxi"]
    assert (tmp_path / "m.cxi").read_text() == "precious"


INTERRUPTED_WRITE = """
import os, signal, sys
from cdipipe.io import hdf5
from cdipipe.cli.main import main
original, count = hdf5._Sink._write_all, []
number = getattr(signal, sys.argv[1])
def interrupt_later(self, buffer):
    count.append(1)
    if len(count) == 3:
        os.kill(os.getpid(), number)
    original(self, buffer)
hdf5._Sink._write_all = interrupt_later
sys.argv = ["cdipipe", *sys.argv[2:]]
main()
"""


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_writing_leaves_the_old_output(counts, tmp_path, name, code):
    (tmp_path / "m.cxi").write_text("precious")
    command = [sys.executable, "-c", INTERRUPTED_WRITE, name, "import", str(counts), "-o", str(tmp_path / "m.cxi")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["counts.npy", "m.cxi"]
    assert (tmp_path / "m.cxi").read_text() == "precious"


def test_ctrl_c_while_reading(tmp_path):
    """Half a gigabyte of zeros is unpacked: once a part of it lies there, the command surely is in the middle."""
    unpacked, packed = tmp_path / "unpacked", tmp_path / "slow.npy.gz"
    unpacked.mkdir()
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (128, 2048, 2048)})
    with gzip.open(packed, "wb", compresslevel=1) as file:
        file.write(header.getvalue())
        for _ in range(128):
            file.write(bytes(2048 * 2048))
    command = [sys.executable, "-m", "cdipipe.cli.main", "import", str(packed), "-o", str(tmp_path / "m.cxi")]
    environment = os.environ | {"TMPDIR": str(unpacked)}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    while not any(path.is_file() for path in unpacked.rglob("*.npy")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and err.splitlines() == ["cdipipe: stopped by Ctrl-C; nothing was written"]
    assert sorted(os.listdir(tmp_path)) == ["slow.npy.gz", "unpacked"] and not os.listdir(unpacked)


def test_the_measured_crystal(cli, data_dir, tmp_path):
    folder = data_dir / "aps34idc_bcdi_S54"
    raw = ["import", folder / "S54_counts_201x256x256_int32.npz", "--stack", "volume", "-o", tmp_path / "m.cxi"]
    white = ["--whitefield", folder / "whitefield.tif", "--threshold", 2]
    done = cli(*raw, *white, "--crop", "96,128,128", "--rocking-step-rad", 8.727e-5)
    assert done.code == 0
    read = read_measurement(tmp_path / "m.cxi")
    assert read.intensity.shape == (96, 128, 128) and read.stack == "volume"
    assert np.unravel_index(read.intensity.argmax(), read.intensity.shape) == (48, 64, 64)
    assert 4.3e7 < read.intensity.sum() < 4.6e7 and (~read.measured).mean() < 0.001


def test_the_dead_seam_of_the_measured_white_field_is_masked(data_dir):
    from cdipipe.io.importing.detector import bad_whitefield_pixels
    from cdipipe.io.importing.formats import read_array

    bad = bad_whitefield_pixels(read_array(data_dir / "aps34idc_bcdi_S54" / "whitefield.tif")[:256, :256])
    assert bad[:, 255].mean() > 0.9 and bad[:, 240:255].mean() < 0.02 and bad.mean() < 0.01


def test_the_optical_ring_from_its_amplitudes_and_from_its_raw_frame(cli, data_dir, tmp_path):
    folder, output = data_dir / "hawk_ring_optical", tmp_path / "m.cxi"
    ring = folder / "ring.h5"
    arguments = ["--dataset", "real", "--mask", f"{ring}::mask", "--corner", "--amplitude"]
    assert cli("import", ring, "-o", output, *arguments).code == 0
    read = read_measurement(output)
    with h5py.File(ring) as file:
        amplitude, good = file["real"][:, :, 0], file["mask"][:, :, 0]
    np.testing.assert_allclose(read.intensity[49, 70], amplitude[0, 21] ** 2, rtol=1e-5)
    assert (~read.measured).sum() == (good == 0).sum() == 463 and not read.measured[49, 49]
    assert "masked: by /mask beside the data (a guess)" in cli("import", ring, "-o", output).out

    raw = ["import", folder / "raw_ring.h5.gz", "--dataset", "intensities", "--saturation", 65535, "--crop", 900]
    assert cli(*raw, "-o", output).code == 0
    read = read_measurement(output)
    centre = np.argwhere(~read.measured[:, :850]).mean(0)
    assert np.abs(centre - 450).max() < 25
