"""Which reconstructions and error bars of a study share a job."""

import json
from pathlib import Path

import pytest

from cdipipe.study.config import Config
from cdipipe.study.shared import COSTS, JOB_WORK, LONG, shared_error_bars, shared_jobs

ROOT = Path(__file__).parents[2]
METHODS = {
    "hio": {"method": "hio", "iterations": 300},
    "raar": {"method": "raar", "iterations": 300},
    "guided": {"method": "guided"},
    "long": {"method": "hio", "iterations": 100000},
    "alone": {"method": "er", "iterations": 300, "restarts": 3},
}


def study(size=64, methods=None, **settings) -> Config:
    simulated = {
        "a": {"scene": "polygons", "set": {"size": size}},
        "b": {"scene": "cell", "set": {"size": 32, "frames": 3}},
    }
    files = {"import": {"files": ["counts.npy"], "pixel_m": 5e-5, "energy_ev": 8000, "distance_m": 1.0}}
    return Config(output="out", measurements={**simulated, "c": files}, methods=methods or METHODS, **settings)


def test_small_ones_of_a_measurement_share_a_job_where_their_options_agree():
    assert shared_jobs(study(restarts=2)) == [("a", ["hio", "raar", "guided"])]
    own = {name: {**METHODS["hio"], "restarts": count} for name, count in (("two", 2), ("three", 3))}
    assert shared_jobs(study(methods=METHODS | own)) == [
        ("a", ["hio", "raar", "guided"]),
        ("a", ["alone", "two", "three"]),
    ]


def test_what_iterations_cost_is_what_was_measured():
    rates = json.loads((ROOT / "benchmarks/results/study_rates.json").read_text())["rates"]
    each = {name: rates[f"{name} 2D"]["inside_s"] / rates[f"{name} 2D"]["units"] for name in ("hio", *COSTS)}
    for name, cost in COSTS.items():
        assert 0.6 < cost / (each[name] / each["hio"]) < 1.6, name


def test_fits_whose_cost_is_known_share_jobs_in_a_large_study():
    many = {f"cdip_{number}": {"method": "cdip", "iterations": 200 + number} for number in range(40)}
    jobs = shared_jobs(study(methods=many | {"deep": {"method": "cdip", "depth": 4}}))
    assert [name for _, names in jobs for name in names] == list(many)


def test_starting_is_at_most_a_twentieth_of_every_study_at_the_scale_of_its_paper():
    found = json.loads((ROOT / "benchmarks/results/startups.json").read_text())["studies"]
    assert len(found) >= 7 and max(one["share"] for one in found.values()) <= 0.05


def test_large_ones_have_jobs_of_their_own():
    assert shared_jobs(study(size=1024, restarts=2)) == []


def test_a_method_that_is_tuned_waits_for_its_settings_alone():
    assert shared_jobs(study(restarts=2, tunings={"hio": {}, "guided": {}})) == []


@pytest.mark.parametrize(("count", "restarts", "most"), [(12, 10, JOB_WORK), (200, 50, LONG * JOB_WORK)])
def test_a_job_has_some_seconds_of_work_and_in_a_large_study_a_minute_or_two(count, restarts, most):
    many = {f"hio_{number}": {"method": "hio", "iterations": 1000 + number} for number in range(count)}
    jobs = shared_jobs(study(methods=many, restarts=restarts))
    assert [name for _, names in jobs for name in names] == list(many) and len(jobs) > 1
    assert max(len(names) for _, names in jobs) <= most / (1000 * 64**2 * restarts)


def test_error_bars_of_small_simulated_objects_share_a_job():
    assert shared_error_bars(study()) == [("a", list(METHODS))]
    assert shared_error_bars(study(size=1024)) == []
    assert shared_error_bars(study(methods={"hio": METHODS["hio"]})) == []
