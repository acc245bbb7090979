"""What docs/studies.md says of costs is what the recorded results say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def study_costs():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import study_costs
    finally:
        sys.path.pop(0)
    return study_costs


def test_the_numbers_of_the_page_are_those_of_the_records(study_costs):
    page = (ROOT / "docs/studies.md").read_text()
    shown = page.partition(study_costs.BEGIN)[2].partition(study_costs.END)[0].split("\n")
    measured = [line for line in shown if " MiB " in line]
    current = study_costs.table(study_costs.recorded()).split("\n")
    assert measured and [line for line in measured if line not in current] == [], "run python benchmarks/study_costs.py"


def test_what_was_not_run_says_so(study_costs):
    costs = {"jobs": 3, "processor_hours": 1.5, "largest_memory_MiB": 100.4, "disk_MiB": 7.0}
    machine = {"simd": "AVX2", "commit": "abc"}
    found = {("lodip", "tiny"): {"costs": costs, "machine": machine, "cores": 2, "wall_s": 120.0}}
    text = study_costs.table(found)
    assert "| `lodip` | tiny | 3 | 1.50 | 100 MiB | 7 MiB | 2 cores, 2 min (AVX2, commit abc) |" in text
    assert "| `lodip` | laptop, paper | not recorded yet |" in text and "| `shootout` | tiny, laptop, paper |" in text
