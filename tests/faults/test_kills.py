"""A study that is killed at random moments ends, after plain restarts, in the same bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import studies

KILLS, KILLS_IN_CI = 25, 3


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Results of a run that nobody disturbs, and how long it took."""
    return _undisturbed(tmp_path_factory.mktemp("undisturbed"), whole=False)


def _undisturbed(folder: Path, whole: bool) -> tuple[dict[str, str], float]:
    began = time.monotonic()
    code, text = studies.run(folder, studies.tiny_quickstart(folder, whole))
    assert code == 0, text[-3000:]
    assert studies.leftovers(folder) == []
    return studies.results(folder), time.monotonic() - began


def kill_often(
    folder: Path, expected: dict[str, str], seconds: float, kills: int, seed: int, whole: bool, note: Path | None = None
) -> dict:
    """Kill until there were so many; whenever the study ends its results must be right; ``note`` says how far."""
    rng, done, finished, moments = random.Random(seed), 0, 0, []
    config = studies.tiny_quickstart(folder, whole)
    while done < kills:
        moment = rng.uniform(0.5, 0.3 * seconds)  # from each start on, which goes on where the one before was killed
        code = studies.kill_after(folder, config, moment)
        assert code in (None, 0), (folder / "run.log").read_text()[-3000:]
        if code is None:
            done += 1
            moments.append(round(moment, 2))
            if note:
                note.write_text(f"{done} of {kills} kills, {finished} complete runs compared\n")
            continue
        _check(folder, expected)
        finished += 1
        shutil.rmtree(folder / "out")
    code, text = studies.run(folder, config)
    assert code == 0, text[-3000:]
    _check(folder, expected)
    return {"kills": done, "moments_s": moments, "complete_runs_compared": finished + 1, "files": len(expected)}


def _check(folder: Path, expected: dict[str, str]) -> None:
    found = studies.results(folder)
    assert {name for name in expected | found if expected.get(name) != found.get(name)} == set()
    assert studies.leftovers(folder) == []


def test_kills_leave_the_same_bits(undisturbed, tmp_path):
    expected, seconds = undisturbed
    assert any(name.endswith("metrics.json") for name in expected) and any(name.endswith(".pt") for name in expected)
    kill_often(tmp_path, expected, seconds, KILLS_IN_CI, seed=1, whole=False)


@pytest.mark.faults
@pytest.mark.timeout(14400)
def test_25_kills_of_the_tiny_quickstart_leave_the_same_bits(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir(), second.mkdir()
    expected, seconds = _undisturbed(first, whole=True)
    target = os.environ.get("CDIPIPE_RECORD")
    note = Path(target) / "kills.txt" if target else None
    found = kill_often(second, expected, seconds, KILLS, seed=2, whole=True, note=note)
    if target:
        (Path(target) / "kills.json").write_text(json.dumps(found | {"undisturbed_s": round(seconds, 1)}))
