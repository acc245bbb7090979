"""Which reconstructions and error bars of a study share a job."""

import pytest

from cdipipe.study.config import Config
from cdipipe.study.shared import JOB_WORK, LONG, shared_error_bars, shared_jobs

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
    assert shared_jobs(study(restarts=2)) == [("a", ["hio", "raar"])]
    assert shared_jobs(study(restarts=3)) == [("a", ["hio", "raar", "alone"])]


def test_large_ones_have_jobs_of_their_own():
    assert shared_jobs(study(size=1024, restarts=2)) == []


def test_a_method_that_is_tuned_waits_for_its_settings_alone():
    assert shared_jobs(study(restarts=2, tunings={"hio": {}})) == []


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
