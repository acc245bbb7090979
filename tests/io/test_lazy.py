"""Of a scan that no memory holds only what is asked for is read."""

import subprocess
import sys
import zlib

import h5py
import numpy as np
import pytest

from cdipipe.io.cxi import read_measurement

SHAPE = (4000, 2167, 2070)
COMMAND = """
import sys
from cdipipe.cli.main import run
code = run(sys.argv[1:])
lines = open("/proc/self/status").read().splitlines()  # ru_maxrss would count what the parent holds
print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """66 GiB in the numbers of its header, a few megabytes on disk: every hundredth frame has counts, the same."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: SHAPE[1], : SHAPE[2]]
    frame = rng.poisson(300 * np.exp(-((y - 1000) ** 2 + (x - 900) ** 2) / 5000)).astype(np.uint32)
    path = tmp_path_factory.mktemp("scan") / "scan.h5"
    with h5py.File(path, "w") as file:
        options = {"chunks": (1, *SHAPE[1:]), "compression": "gzip"}
        data = file.create_dataset("entry/data/data", SHAPE, np.uint32, **options)
        packed = zlib.compress(frame.tobytes(), 1)
        for number in range(0, SHAPE[0], 100):
            data.id.write_direct_chunk((number, 0, 0), packed)
    return path, frame


@pytest.mark.parametrize(
    ("options", "shape", "middle"),
    [
        (["--frames", "2000"], (2167, 2070), None),
        (["--frames", "::200", "--stack", "shots", "--crop", "128"], (20, 128, 128), (64, 64)),
        (["--frames", "::400", "--stack", "shots", "--bin", "4", "--crop", "256"], (10, 256, 256), (128, 128)),
    ],
)
def test_a_part_of_a_scan_needs_the_memory_of_a_part(scan, tmp_path, options, shape, middle):
    path, frame = scan
    command = [sys.executable, "-c", COMMAND, "import", str(path), "-o", str(tmp_path / "m.cxi"), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stderr.split()[-1]) < 2**20  # KiB
    measurement = read_measurement(tmp_path / "m.cxi")
    assert measurement.intensity.shape == shape and measurement.measured.all()
    if middle is None:
        np.testing.assert_array_equal(measurement.intensity, frame)
    else:
        assert measurement.intensity.sum(0)[middle] > 0.8 * measurement.intensity.sum(0).max()
