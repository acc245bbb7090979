"""Whole files and settings of odd structure give a result or one line: no traceback, signal, 2 GiB or 20 s."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structure_worker

CASES, CASES_IN_CI = 2000, 154


def is_fine(result: dict) -> bool:
    """Done, or refused in one line with nothing left."""
    if result["escaped"] or result["signal"] or result["left"]:
        return False
    if result["seconds"] > structure_worker.SECONDS or result["peak_gib"] > structure_worker.GIB:
        return False
    lines = result["err"].splitlines()
    own = [line for line in lines if line.startswith("cdipipe: ")]
    return result["code"] == 0 or (result["code"] == 2 and len(own) == 1 and lines[-1:] == own)


def try_all(folder: Path, count: int, first: int) -> list[dict]:
    """Results of ``count`` cases of every kind."""
    command = [sys.executable, str(Path(structure_worker.__file__)), str(folder), str(first), str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=10800)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, f"ended at {lines[-1:]}: {done.stderr[-2000:]}"
    return [line for line in lines if "code" in line]


def judge(results: list[dict], count: int) -> None:
    kinds = structure_worker.KINDS
    assert len({(result["kind"], result["seed"]) for result in results}) == count * len(kinds)
    assert [result for result in results if not is_fine(result)] == []
    for code in (0, 2):  # cases of every kind are refused, and some of each are harmless
        assert {result["kind"] for result in results if result["code"] == code} == set(kinds)


def test_a_hundred_and_fifty_cases(tmp_path):
    count = CASES_IN_CI // len(structure_worker.KINDS)
    judge(try_all(tmp_path, count, first=0), count)


@pytest.mark.faults
@pytest.mark.timeout(14400)
def test_two_thousand_cases(tmp_path):
    count = -(-CASES // len(structure_worker.KINDS))
    results = try_all(tmp_path, count, first=10_000)
    if target := os.environ.get("CDIPIPE_RECORD"):
        codes = collections.Counter(f"{r['kind']}: {'a result' if r['code'] == 0 else 'one line'}" for r in results)
        facts = {"cases": len(results), "outcomes": dict(sorted(codes.items()))}
        facts |= {"wrong": [r for r in results if not is_fine(r)], "slowest_s": max(r["seconds"] for r in results)}
        facts["peak_gib"] = round(max(r["peak_gib"] for r in results), 2)
        (Path(target) / "odd_structure.json").write_text(json.dumps(facts))
    judge(results, count)
