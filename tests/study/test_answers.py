"""What a report says first: the best result of a measurement, what is known of it, and what next."""

from __future__ import annotations

from cdipipe.study.answers import best_of, next_of, numbers_of, telling


def result(name, **metrics):
    return {"name": name, "metrics": metrics}


def test_the_best_verdict_comes_first_and_among_equals_the_likelihood_of_withheld_pixels():
    found = [
        result("overfitted", verdict="plausible", poisson_nll_free=3.0, r_factor=0.01, complex_correlation=0.2),
        result("right", verdict="plausible", poisson_nll_free=1.0, r_factor=0.10, complex_correlation=0.1),
        result("wrong", verdict="bad", poisson_nll_free=0.1, r_factor=0.001, complex_correlation=1.0),
    ]
    assert best_of(found)["name"] == "right"


def test_a_score_that_one_lacks_does_not_count():
    found = [result("a", poisson_nll_free=1.0, r_factor=0.2), result("b", r_factor=0.1)]
    assert best_of(found)["name"] == "b"
    assert best_of([result("only")])["name"] == "only"


def test_numbers_are_those_that_are_known():
    metrics = {"r_factor": 0.0923, "r_factor_noise": 0.0101, "repeatability": 0.563, "device": "cpu"}
    assert numbers_of(metrics) == ["R-factor 0.092, counting noise alone 0.01", "starts agree to 0.56"]
    assert numbers_of({}) == []


def test_doubts_say_what_to_do():
    assert next_of({"verdict": "bad", "reasons": "try more restarts"}) == "Not to be used: try more restarts."
    assert next_of({"verdict": "plausible"}).startswith("Look at it")
    assert next_of({}) == ""


def test_a_column_in_which_all_agree_tells_nothing():
    rows = [{"a": 1, "b": 2}, {"a": 1, "b": 3}]
    assert telling(["a", "b"], rows) == ["b"] and telling(["a"], rows[:1]) == ["a"]
