"""What docs/studies.md says of costs is what the recorded results say."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def study_costs():
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import study_costs
    finally:
        sys.path.pop(0)
    return study_costs


def rows(study_costs, only: set[str]) -> list[str]:
    """Rows of the page's table of these studies."""
    page = (ROOT / "docs/studies.md").read_text()
    shown = page.partition(study_costs.BEGIN)[2].partition(study_costs.END)[0].split("\n")
    return [line for line in shown if any(line.startswith(f"| `{study}` |") for study in only)]


def test_the_numbers_of_the_page_are_those_of_the_records(study_costs):
    """Of the measured rows, and of a study's estimates, whose work is counted here again."""
    found = study_costs.recorded()
    files = study_costs.study_work.study_files()
    measured = [study_costs._row(*key, result) for key, result in found.items() if key[0] in files]
    page = rows(study_costs, set(files))
    assert measured and set(measured) <= set(page), "run python benchmarks/study_costs.py"
    rates = study_costs.recorded_rates()
    again = [
        study_costs._estimated(name, files[name], scale, rates)
        for name, scale in (("cdip_static", "laptop"), ("cdip_dynamic", "paper"))
    ]
    assert set(again) <= set(page), "run python benchmarks/study_costs.py"


def test_a_study_that_was_run_is_a_row_of_plain_numbers(study_costs):
    costs = {"jobs": 3, "processor_hours": 1.5, "disk_MiB": 7.0, "processor_s_of_rule": {"train": 900.0, "plot": 1.0}}
    machine = {"simd": "AVX2", "commit": "abc"}
    row = study_costs._row("dpr", "tiny", {"costs": costs, "machine": machine, "cores": 2, "wall_s": 120.0})
    assert row == "| `dpr` | tiny | 3 | 1.50 | 0.25 | 7 MiB | 2 cores, 2 min (AVX2, commit abc) |"


def test_an_estimate_is_work_times_rates_and_names_what_has_none(study_costs, monkeypatch):
    units = {"hio 2D": {1000.0: 2}, "dpr+hio 2D": {500.0: 1}, "train dpr": {10.0: 1}, "pid3net 2D": {7.0: 1}}
    monkeypatch.setattr(study_costs.study_work, "units_of", lambda study: units)
    rates = {
        "hio 2D": {"units": 100, "inside_s": 36.0},
        "train dpr": {"units": 1, "inside_s": 360.0},
        "reconstruct": {"units": 1, "inside_s": 0.0, "start_s": 3.6},
        "pid3net 2D": {"error": "no weights"},
    }
    found = study_costs.estimate(None, rates)
    assert found["hours"] == pytest.approx((2 * 360 + 180 + 3600) / 3600 + 5 * 0.001)
    assert found["training"] == pytest.approx(1.001)
    assert found["jobs"] == 5 and found["unknown"] == ["pid3net 2D"]


def test_a_rate_of_movies_or_of_a_setting_counts_before_that_of_the_steps_alone(study_costs):
    rates = {
        name: {"units": 1, "inside_s": second} for name, second in {"a 2D": 1.0, "a 2D+t": 2.0, "a:x 2D": 3.0}.items()
    }
    found = [study_costs.rate_of(kind, rates) for kind in ("a 2D", "a 2D+t", "a:x 2D", "a:x 2D+t", "a:y 2D", "a 3D")]
    assert found == [1.0, 2.0, 3.0, 3.0, 1.0, None]


def test_work_is_patterns_pixels_starts_and_iterations(study_costs):
    from cdipipe.study.config import Config

    study = Config.model_validate(
        {
            "output": "out",
            "restarts": 3,
            "measurements": {"m": {"scene": "polygons", "set": {"size": 64, "count": 5}}},
            "methods": {"a": {"method": "hio", "iterations": 20}, "b": {"sequence": "2*(3*ER+7*HIO)", "restarts": 1}},
            "corpora": {"c": {"scene": "polygons", "count": 10, "shards": 2, "set": {"size": 32}}},
        }
    )
    units = study_costs.study_work.units_of(study)
    assert units["hio 2D"] == {5 * 64**2 * 3 * 20: 1} and units["er+hio 2D"] == {5 * 64**2 * 20: 1}
    assert units["measure"] == {5 * 64**2: 1}


def test_operations_of_a_network_that_iterates_in_place_are_counted(study_costs):
    small = '{"size": 32, "box_px": 16, "start_iterations": 2, "widths": [%d]}'
    narrow, wide = (study_costs.study_work.operations("unrolled", small % width, 32, 2) for width in (4, 8))
    assert 0 < narrow < wide


def test_a_training_that_went_on_after_a_stop_counts_as_a_whole(study_costs, tmp_path):
    """Snakemake notes the last part only, here 50 s at a load of 0.8; the curve's 120 s go on where they were."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import study
    finally:
        sys.path.pop(0)
    for folder in ("benchmarks", "net"):
        (tmp_path / folder).mkdir()
    for job, seconds in {"net.train": 40, "net.curve": 3, "other.train": 20}.items():
        (tmp_path / f"benchmarks/{job}.tsv").write_text(f"s\tmax_rss\tcpu_time\n50\t7\t{seconds}\n")
    (tmp_path / "net/curve.tsv").write_text("epoch\tseconds\n1\t60\n2\t120\n")
    found = study.costs(tmp_path)
    assert found["processor_s_of_rule"] == {"train": pytest.approx(40 * 120 / 50 + 20), "curve": 3.0}
    assert found["jobs"] == 3 and found["processor_hours"] == pytest.approx(119 / 3600)
