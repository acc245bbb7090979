"""A stack in pieces: the same bits, whatever was kept of a run that was stopped; never what other work left."""

import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction, write_measurement, write_reconstruction
from cdipipe.io.pieces import Pieces, kept_beside
from cdipipe.phasing import pieces as module
from cdipipe.phasing import reconstruct as phasing
from cdipipe.phasing.recipe import recipe_from_mapping
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

RECIPES = {
    "hio": {"method": "hio", "iterations": 12, "restarts": 3, "average_best": 2},
    "early stop": {"method": "er", "iterations": 30, "stop_below": 0.05},
    "network": {"method": "cdi_nn"},
    "network, then hio": {"steps": [{"cdi_nn": {"batch": 2}}, {"hio": {"iterations": 6}}]},
}


@pytest.fixture(scope="module")
def shots():
    """Seven patterns, one of them without a photon."""
    scene = get_scene("polygons")
    made, _ = simulate(scene, scene.parameters(size=32, count=7, photons=1e5), 3)
    made.intensity[4] = 0
    return made


@pytest.fixture(autouse=True)
def three_patterns_a_piece(monkeypatch):
    monkeypatch.setattr(module, "PIECE_PIXELS", 3 * 32 * 32)
    monkeypatch.setattr(module.torch, "get_num_threads", lambda: 1)


def same(one, other) -> bool:
    arrays = ("object", "support", "error_trace", "runs")
    pairs = [(getattr(one, name), getattr(other, name)) for name in arrays]
    pairs += [(one.run_scores[name], other.run_scores[name]) for name in one.run_scores]
    assert one.run_scores.keys() == other.run_scores.keys() and one.forward == other.forward
    return all((a is None and b is None) or np.array_equal(a, b, equal_nan=True) for a, b in pairs)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("keep_runs", [False, True], ids=["best", "runs"])
def test_pieces_are_the_same_bits_as_the_whole(shots, tmp_path, name, keep_runs):
    work = partial(phasing.reconstruct, shots, recipe_from_mapping(RECIPES[name]), seed=5, keep_runs=keep_runs)
    whole = work()
    with kept_beside(tmp_path / "R.cxi", lambda: "key") as kept:
        found = work(pieces=kept)
        assert len(kept.ranges()) == {"network": 1, "network, then hio": 2}.get(name, 3) and same(whole, found)
        write_reconstruction(tmp_path / "R.cxi", found)
    assert same(whole, read_reconstruction(tmp_path / "R.cxi"))
    assert os.listdir(tmp_path) == ["R.cxi"]


class Stopped(BaseException):
    """What comes from outside, as SystemExit does."""


def phase_until(shots, kept, stop_at: int | None):
    """Phase a stack and count the patterns; be stopped at one of them."""
    done = []

    def phase(task, *rest):
        for index in task.indices():
            done.append(task.first + index)
            if len(done) - 1 == stop_at:
                raise Stopped
        return PHASE(task, *rest)

    PHASE = phasing.PHASE["each"]
    recipe = recipe_from_mapping(RECIPES["hio"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(phasing.PHASE, "each", phase)
        return phasing.reconstruct(shots, recipe, seed=5, pieces=kept), done


def stopped(shots, folder, at=5, key="key"):
    with pytest.raises(Stopped), kept_beside(folder / "R.cxi", lambda: key) as kept:
        phase_until(shots, kept, at)


def go_on(shots, folder, key="key"):
    with kept_beside(folder / "R.cxi", lambda: key) as kept:
        found, done = phase_until(shots, kept, None)
        return same(found, phasing.reconstruct(shots, recipe_from_mapping(RECIPES["hio"]), seed=5)), done


def test_a_stopped_run_goes_on_with_what_is_left(shots, tmp_path):
    stopped(shots, tmp_path)
    assert go_on(shots, tmp_path) == (True, [3, 4, 5, 6])
    assert os.listdir(tmp_path) == []


def test_what_other_work_kept_is_thrown_away(shots, tmp_path):
    stopped(shots, tmp_path, key="another recipe")
    assert go_on(shots, tmp_path) == (True, list(range(7)))


@pytest.mark.parametrize("what", ["object.npy", "support.npy", "piece-000000.npz", "piece-000000.json", "plan.json"])
@pytest.mark.parametrize("how", ["flipped", "cut", "gone"])
def test_what_is_damaged_is_made_again(shots, tmp_path, what, how):
    stopped(shots, tmp_path)
    file = tmp_path / ".R.cxi.pieces" / what
    content = bytearray(file.read_bytes())
    content[len(content) // 4 if what.endswith("npy") else -3] ^= 8
    {"flipped": lambda: file.write_bytes(content), "cut": lambda: os.truncate(file, 20), "gone": file.unlink}[how]()
    right, done = go_on(shots, tmp_path)
    assert right and done in (list(range(7)), [3, 4, 5, 6])
    assert done == list(range(7)) or (what, how) == ("plan.json", "flipped")


def test_what_fails_leaves_nothing(tmp_path):
    with pytest.raises(InputError), kept_beside(tmp_path / "R.cxi", lambda: "key") as kept:
        kept.begin(10, 3)
        raise InputError("no photons")
    assert os.listdir(tmp_path) == []


def test_two_at_the_same_output_are_refused(tmp_path):
    with kept_beside(tmp_path / "R.cxi", lambda: "key") as kept:
        kept.begin(10, 3)
        with pytest.raises(InputError, match=r"R\.cxi: another process is at work on it"):
            Pieces(tmp_path / "R.cxi", "key").begin(10, 3)


STOPPED_AFTER_TWO = """
import os, sys, torch
import cdipipe.phasing.pieces as pieces
from cdipipe.cli.main import main

how = int(sys.argv.pop())
pieces.PIECE_PIXELS, keep = 3 * 32 * 32, pieces.Pieces.keep
torch.set_num_threads(1)

def keep_and_stop(self, number, *what):
    keep(self, number, *what)
    if number == 1:
        os.kill(os.getpid(), how)

pieces.Pieces.keep = keep_and_stop
main()
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=lambda s: s.name)
def test_the_command_goes_on_after_it_was_stopped(shots, tmp_path, cli, how):
    write_measurement(tmp_path / "M.cxi", shots)
    words = ["reconstruct", tmp_path / "M.cxi", "-m", "hio", "--set=iterations=5", "--seed=5", "-o", tmp_path / "R.cxi"]
    stopping = [sys.executable, "-c", STOPPED_AFTER_TWO, *map(str, words), str(int(how))]
    done = subprocess.run(stopping, capture_output=True, text=True, timeout=120)
    assert done.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130}[how], done.stderr
    assert ("the same command goes on" in done.stderr) == (how == signal.SIGINT)
    folder = tmp_path / ".R.cxi.pieces"
    assert not (tmp_path / "R.cxi").exists() and len(list(folder.glob("piece-*.json"))) == 2
    outcome = cli(*words)
    assert outcome.code == 0 and not folder.exists()
    whole = phasing.reconstruct(shots, recipe_from_mapping({"method": "hio", "iterations": 5}), seed=5)
    assert same(whole, read_reconstruction(tmp_path / "R.cxi"))
