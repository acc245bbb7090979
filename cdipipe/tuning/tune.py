"""Settings of a recipe for one measurement: searched, then held against the default on what neither has seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.tuning.choices import TuneChoices
from cdipipe.tuning.score import Answers, answer, correlation, phase
from cdipipe.tuning.search import MEETING, Trial, run_trials, seeds_of
from cdipipe.tuning.space import search_space, with_settings

LEAST_GAIN = 0.002
"""Loss by which tuned settings must be better than the default: less is not worth a change."""
ERRORS = 1.5
"""And by so many standard errors of the gain."""
MOST_UNEXPLAINED = 1.5
"""What tuned settings may leave unexplained, over what the default does: a support that cuts an object repeats well."""


@dataclass(frozen=True)
class Meeting:
    """Settings against the default, on sets of withheld pixels and starts that the search did not use.

    Parameters
    ----------
    settings : key -> value
    loss, default_loss : on the fresh sets
    gain, error : mean difference, default less tuned, and its standard error over the sets
    result_gain, result_error : of the two results with all pixels and the seed itself, how much nearer the tuned one
        is to the tuned answers of the fresh sets, with the difference of what those leave unexplained
    unexplained_ratio : of the light, tuned over default
    """

    settings: dict[str, Any]
    loss: float
    default_loss: float
    gain: float
    error: float
    result_gain: float
    result_error: float
    unexplained_ratio: float = 1.0

    @property
    def is_won(self) -> bool:
        """Better by more than the noise of the score, the result itself too, and the counts are explained as well."""
        explains = self.unexplained_ratio <= MOST_UNEXPLAINED
        return explains and _is_sure(self.gain, self.error) and _is_sure(self.result_gain, self.result_error)


@dataclass(frozen=True)
class Tuned:
    """The outcome of a search.

    Parameters
    ----------
    recipe : plain data, with the settings that were taken
    settings : key -> value that was taken; empty where the default stays
    defaults : key -> value of all keys that were searched
    trials : all that was tried, the default first
    meetings : the finalists against the default, best first; none where no trial was better
    """

    recipe: dict[str, Any]
    settings: dict[str, Any]
    defaults: dict[str, Any]
    trials: list[Trial]
    meetings: list[Meeting]

    @property
    def verdict(self) -> str:
        """What was taken and why, in a sentence."""
        if self.settings:
            won = next(one for one in self.meetings if one.settings == self.settings)
            return f"tuned: the loss falls from {won.default_loss:.4f} to {won.loss:.4f} on fresh withheld pixels"
        if not self.meetings:
            return f"default: none of {len(self.trials) - 1} other settings had a lower loss"
        best = self.meetings[0]
        return (
            f"default: the best of {len(self.trials) - 1} other settings is not better by more than the noise on fresh "
            f"withheld pixels (gain {best.gain:.4f} ± {best.error:.4f}, of the result {best.result_gain:.4f} ± "
            f"{best.result_error:.4f}, unexplained light {best.unexplained_ratio:.2f} times that of the default)"
        )

    def record(self) -> dict[str, Any]:
        """Plain data for a file."""
        found = asdict(self) | {"verdict": self.verdict}
        for one, meeting in zip(found["meetings"], self.meetings, strict=True):
            one["is_won"] = meeting.is_won
        return found


def tune(
    measurement: Measurement,
    mapping: Mapping[str, Any],
    choices: TuneChoices,
    journal: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    told: Callable[[int], None] = lambda count: None,
) -> Tuned:
    """Choose settings of a recipe by withheld pixels and by what other starts repeat.

    Parameters
    ----------
    mapping : the recipe as plain data; what it sets stays
    journal : file that keeps the trials, so that a search that was killed goes on
    seed : that of the reconstruction that the settings are for
    told : called with the number of trials that are done

    Raises
    ------
    InputError   the recipe is wrong, or has nothing to search
    """
    space = search_space(mapping, choices.over, measurement.object_support is not None)
    trials = run_trials(measurement, mapping, space, choices, journal, seed, device, told)
    default, *others = trials
    best = sorted(others, key=lambda trial: trial.loss)[: choices.finalists]
    better = [trial.settings for trial in best if trial.loss < default.loss]
    meetings = _meet(measurement, mapping, better, choices, seed, device) if better else []
    settings = next((one.settings for one in meetings if one.is_won), {})
    defaults = {key: dim.default for key, dim in space.items()}
    return Tuned(with_settings(mapping, settings), settings, defaults, trials, meetings)


def _meet(measurement, mapping, finalists: list[dict], choices: TuneChoices, seed: int, device: str) -> list[Meeting]:
    """The finalists against the default, best first."""
    seeds = seeds_of(seed, MEETING, choices.fresh_sets)

    def see(settings: dict) -> tuple:
        own = with_settings(mapping, settings)
        return answer(measurement, own, seeds, choices.free_fraction, device), phase(measurement, own, seed, device)

    default, default_result = see({})
    found = []
    for settings in finalists:
        tuned, result = see(settings)
        unexplained = (default.nll_free - tuned.nll_free) * tuned.share
        gains = default.spreads() - tuned.spreads() + unexplained
        nearer = _distances(default_result, tuned) - _distances(result, tuned) + unexplained
        both = *_mean_and_error(gains), *_mean_and_error(nearer)
        ratio = tuned.unexplained / max(default.unexplained, 1e-12)
        found.append(Meeting(settings, tuned.loss, default.loss, *both, ratio))
    return sorted(found, key=lambda one: (not one.is_won, one.loss))


def _distances(result: Reconstruction, answers: Answers) -> np.ndarray:
    """(sets,) one less the correlation of a result with each answer."""
    return 1 - np.array([correlation(one, result) for one in answers.results])


def _mean_and_error(values: np.ndarray) -> tuple[float, float]:
    """Mean and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def _is_sure(gain: float, error: float) -> bool:
    return gain > max(LEAST_GAIN, ERRORS * error)
