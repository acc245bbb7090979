"""Commands that need no torch do not wait for it; a folder takes what several reconstructions give."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from cdipipe.io.cxi import read_reconstruction, write_reconstruction
from cdipipe.uncertainty.files import read_uncertainty

SIMULATE = ["simulate", "polygons", "--set", "size=32", "--set", "photons=1e6"]
RUN = """import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise AssertionError("torch was asked for")
sys.meta_path.insert(0, Refuse())
from cdipipe.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A measurement with its truth, and two reconstructions of it."""
    place = tmp_path_factory.mktemp("light")
    without_torch(place, *SIMULATE, "-o", "M.cxi", "--truth", "T.cxi")
    options = ["--set", "iterations=20", "--restarts", "3", "--keep-runs"]
    for method in ("hio", "er"):
        (place / method).mkdir()
        command = ["-m", method, *options, "-o", f"{method}/R.cxi"]
        plain = "import sys\nfrom cdipipe.cli.main import run\nsys.exit(run(sys.argv[1:]))"
        subprocess.run([sys.executable, "-c", plain, "reconstruct", "M.cxi", *command], cwd=place, check=True)
    bars = ["uncertainty", "hio/R.cxi", "er/R.cxi", "--measurement", "M.cxi", "--set", "restart_iterations=20"]
    subprocess.run([sys.executable, "-c", plain, *bars, "-o", "."], cwd=place, check=True)
    return place


def without_torch(place, *arguments) -> str:
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=place, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


COMMANDS = {
    "simulate": [*SIMULATE, "-o", "again.cxi"],
    "info": ["info", "M.cxi"],
    "evaluate": ["evaluate", "hio/R.cxi", "--measurement", "M.cxi", "--truth", "T.cxi", "-o", "one.json"],
    "plot": ["plot", "hio/R.cxi", "--measurement", "M.cxi", "--truth", "T.cxi", "-o", "one.png"],
    "compare": ["plot", "hio/R.cxi", "er/R.cxi", "-o", "both.png"],
    "judge error bars": ["evaluate", "hio/uncertainty.cxi", "--truth", "T.cxi", "-o", "bars.json"],
    "plot error bars": ["plot", "hio/uncertainty.cxi", "-o", "bars.png"],
    "export": ["export", "hio/R.cxi", "-o", "one.npz"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_it_runs_without_torch(folder, name):
    without_torch(folder, *COMMANDS[name])


def test_a_folder_takes_metrics_curves_and_pictures_of_each(folder):
    results = ["hio/R.cxi", "er/R.cxi"]
    without_torch(folder, "evaluate", *results, "--measurement", "M.cxi", "--truth", "T.cxi", "-o", "out")
    without_torch(folder, *COMMANDS["evaluate"])
    together, alone = (json.loads((folder / name).read_text()) for name in ("out/hio/metrics.json", "one.json"))
    assert {k: v for k, v in together.items() if k != "checksum"} == {k: v for k, v in alone.items() if k != "checksum"}
    assert (folder / "out/er/curves.npz").exists()
    without_torch(folder, "plot", "M.cxi", *results, "--truth", "T.cxi", "-o", "out")
    pictures = sorted(str(path.relative_to(folder / "out")) for path in folder.glob("out/**/*.png"))
    of_each = [f"{method}/{figure}.png" for method in ("er", "hio") for figure in ("diagnostics", "object")]
    assert pictures == sorted(["comparison.png", "pattern.png", "resolution.png", *of_each])


def test_error_bars_of_a_folder_are_those_of_each_alone(cli, folder, monkeypatch):
    monkeypatch.chdir(folder)
    alone = ["uncertainty", "er/R.cxi", "--measurement", "M.cxi", "--set", "restart_iterations=20", "-o", "alone.cxi"]
    assert cli(*alone).code == 0
    one, other = read_uncertainty("alone.cxi"), read_uncertainty("er/uncertainty.cxi")
    assert one.maps.keys() == other.maps.keys()
    assert all(np.array_equal(one.maps[name], other.maps[name], equal_nan=True) for name in one.maps)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["uncertainty", "hio/R.cxi", "er/R.cxi", "--measurement", "M.cxi", "-o", "u.cxi"], "give a folder"),
        (["evaluate", "hio/R.cxi", "er/R.cxi", "--measurement", "M.cxi", "-o", "v.json"], "give a folder"),
        (["evaluate", "hio/R.cxi", "--measurement", "M.cxi", "-o", "out", "--curves", "c.npz"], "leave --curves away"),
        (["evaluate", "hio/R.cxi", "hio/R.cxi", "--measurement", "M.cxi", "-o", "out"], "called 'hio'"),
        (["plot", "hio/R.cxi", "er/R.cxi", "-o", "out"], "name the measurement first"),
    ],
)
def test_what_a_folder_cannot_take_is_one_line(cli, folder, monkeypatch, arguments, said):
    monkeypatch.chdir(folder)
    done = cli(*arguments)
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_objects_of_several_shapes_are_not_compared(cli, folder, monkeypatch):
    monkeypatch.chdir(folder)
    small = {"object": np.zeros((16, 16), np.complex64), "support": np.zeros((16, 16), bool), "runs": None}
    other = dataclasses.replace(read_reconstruction("er/R.cxi"), **small)
    write_reconstruction("other.cxi", other)
    done = cli("plot", "M.cxi", "hio/R.cxi", "other.cxi", "-o", "out")
    assert done.code == 2
    assert "different shapes" in done.err
