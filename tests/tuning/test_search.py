"""The search goes on where it was stopped, finds what is better, and takes it only if that is sure."""

from __future__ import annotations

import math

import numpy as np
import pytest

import cdipipe.api as cdi
from cdipipe.errors import InputError
from cdipipe.tuning import search
from cdipipe.tuning.choices import TuneChoices
from cdipipe.tuning.score import Answers, answer, correlation
from cdipipe.tuning.search import run_trials
from cdipipe.tuning.space import search_space
from cdipipe.tuning.tune import Meeting, tune

CHOICES = TuneChoices(budget=42 + 14 * 2, sets=2, fresh_sets=3, finalists=3)
RECIPE = {"method": "raar", "shrink_wrap": {"every": 0}}


@pytest.fixture(scope="module")
def measurement():
    return cdi.simulate("polygons", size=32, photons=1e5, seed=3)


class Stopped(Exception):
    pass


def fake(calls, stop_at=math.inf):
    """A score that is best at beta 0.8, instead of phasing."""

    def score(measurement, mapping, seeds, fraction, device):
        if len(calls) >= stop_at:
            raise Stopped
        calls.append(mapping.get("beta", 0.95))
        loss = 0.1 + (calls[-1] - 0.8) ** 2

        class Found:
            spread, unexplained, nll_free = loss, 0.0, np.array([loss])

        Found.loss = loss
        return Found

    return score


def trials(measurement, folder, name, monkeypatch, stop_at=math.inf, **changes):
    calls = []
    monkeypatch.setattr(search, "answer", fake(calls, stop_at))
    choices = CHOICES.model_copy(update=changes)
    found = run_trials(measurement, RECIPE, search_space(RECIPE), choices, folder / name, seed=1)
    return found, calls


def test_a_search_that_was_killed_goes_on_to_the_same_trials(measurement, tmp_path, monkeypatch):
    whole, calls = trials(measurement, tmp_path, "whole", monkeypatch)
    assert len(whole) == len(calls) == CHOICES.trials > search.FIRST_TRIALS + 3
    assert whole[0].settings == {} and calls[0] == 0.95
    with pytest.raises(Stopped):
        trials(measurement, tmp_path, "broken", monkeypatch, stop_at=search.FIRST_TRIALS + 1)
    again, more = trials(measurement, tmp_path, "broken", monkeypatch)
    assert len(more) == CHOICES.trials - search.FIRST_TRIALS - 1
    assert [trial.settings for trial in again] == [trial.settings for trial in whole]
    best = min(whole, key=lambda trial: trial.loss)
    assert best.settings["beta"] == pytest.approx(0.8, abs=0.05)
    none, calls = trials(measurement, tmp_path, "broken", monkeypatch)
    assert calls == [] and none == again


def test_trials_of_other_data_or_settings_are_not_taken_over(measurement, tmp_path, monkeypatch):
    trials(measurement, tmp_path, "j", monkeypatch)
    _, calls = trials(measurement, tmp_path, "j", monkeypatch, free_fraction=0.1)
    assert len(calls) == CHOICES.trials
    _, calls = trials(measurement, tmp_path, "j", monkeypatch, budget=CHOICES.budget + 4)
    assert len(calls) == 2


def test_what_is_no_journal_is_named(measurement, tmp_path, monkeypatch):
    (tmp_path / "j").write_text("hello\nthis is text\n")
    with pytest.raises(InputError, match="not a journal of trials"):
        trials(measurement, tmp_path, "j", monkeypatch)


def test_the_loss_is_spread_and_unexplained_light(measurement):
    found = answer(measurement, {"method": "hio", "iterations": 40}, [1, 2, 3], 0.06, "cpu")
    pairs = [correlation(found.results[i], found.results[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found.spread == pytest.approx(1 - np.mean(pairs))
    photons = measurement.intensity.sum(dtype=float)
    assert found.unexplained == pytest.approx(np.mean(found.nll_free) * 32 * 32 / photons)
    assert found.loss == pytest.approx(found.spread + found.unexplained)
    same = Answers(found.results[:1] * 3, found.nll_free, found.share)
    assert same.spread == pytest.approx(0, abs=1e-6)
    masks = [result.free_pixels for result in found.results]
    assert 0.03 < np.mean(masks) < 0.09 and not np.array_equal(masks[0], masks[1])


def test_only_a_gain_beyond_the_noise_of_both_is_taken():
    def met(**changes):
        numbers = {"gain": 0.02, "error": 0.004, "result_gain": 0.01, "result_error": 0.002} | changes
        return Meeting({}, 0.1, 0.12, **numbers).is_won

    assert met()
    assert not met(error=0.02) and not met(result_error=0.02) and not met(result_gain=-0.01) and not met(gain=0.001)
    assert not met(unexplained_ratio=3.5)


def test_at_few_photons_the_default_support_is_improved_and_the_truth_agrees(tmp_path):
    measurement, truth = cdi.simulate("polygons", size=32, photons=3e3, phase_range_rad=1.0, seed=3, with_truth=True)
    recipe = {"method": "hio", "iterations": 60, "restarts": 3}
    choices = TuneChoices(budget=60, sets=2, fresh_sets=4, finalists=3, over=("shrink_wrap.threshold",))
    found = tune(measurement, recipe, choices, tmp_path / "j", seed=1)
    assert found.verdict.startswith("tuned: the loss falls") and list(found.settings) == ["shrink_wrap.threshold"]
    assert found.recipe == {**recipe, "shrink_wrap": found.settings and {"threshold": found.settings[choices.over[0]]}}
    results = [cdi.reconstruct(measurement, made, seed=1) for made in (recipe, found.recipe)]
    before, after = (cdi.evaluate(result, measurement, truth).metrics["complex_correlation"] for result in results)
    assert after > before + 0.05
    assert len(found.trials) == choices.trials and set(found.record()) >= {"recipe", "trials", "meetings", "verdict"}
