"""Damaged files give a result or one line; never a traceback, a crash, a hang or a leftover."""

import json
import subprocess
import sys
from pathlib import Path

import mutations
import pytest
import writers

FILES_PER_FORMAT = 25
SECONDS = 30


def is_fine(result: dict) -> bool:
    if result["escaped"] or result["seconds"] > SECONDS or result["code"] not in (0, 2):
        return False
    if result["code"] == 0:
        return result["left"] == (["out.cxi"] if result["command"] in ("import", "reconstruct") else [])
    lines = result["err"].splitlines()
    return len(lines) == 1 and lines[0].startswith("cdipipe: ") and result["left"] == []


@pytest.mark.parametrize("kind", mutations.FORMATS)
def test_damaged_files(tmp_path, kind):
    worker = Path(__file__).with_name("fuzz_worker.py")
    command = [sys.executable, str(worker), str(tmp_path), "0", str(FILES_PER_FORMAT), kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"crashed at {lines[-1:]}: {done.stderr[-2000:]}"
    results = [line for line in lines if "code" in line]
    assert len({result["seed"] for result in results}) == FILES_PER_FORMAT
    assert [result for result in results if not is_fine(result)] == []
    assert any(result["code"] == 2 for result in results)


def damage_writers(folder, first, count):
    worker = Path(__file__).with_name("fuzz_writers.py")
    command = [sys.executable, str(worker), str(folder), str(first), str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"crashed at {lines[-1:]}: {done.stderr[-2000:]}"
    results = [line for line in lines if "code" in line]
    assert len(results) == 2 * count * len(writers.WRITERS)
    assert [result for result in results if not is_fine(result)] == []
    assert {result["code"] for result in results} == {0, 2}


def test_damaged_files_of_every_writer(tmp_path):
    damage_writers(tmp_path, 0, 2)


@pytest.mark.faults
@pytest.mark.timeout(3600)
def test_five_hundred_damaged_files_of_all_writers(tmp_path):
    damage_writers(tmp_path, 100, -(-500 // len(writers.WRITERS)))
