"""The search for settings: trials proposed by Optuna, kept in a journal, so that one that is killed goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.phasing.starts import derive_seed
from cdipipe.tunable import TuneAmong
from cdipipe.tuning.choices import TuneChoices
from cdipipe.tuning.score import answer
from cdipipe.tuning.space import Dimension, with_settings

FIRST_TRIALS, VARIED = 10, 3
"""Trials before what was learned proposes the next: the default, and others that differ from it in a few keys."""
SEARCH, MEETING = 1, 2
"""Parts of the seed: sets of the search, sets on which the finalists meet the default."""


@dataclass(frozen=True)
class Trial:
    """Settings that were tried, and what they cost.

    Parameters
    ----------
    settings : key -> value; empty for the default, which is the first trial
    loss, spread, unexplained : see ``cdipipe.tuning.score``
    nll_free : of each set
    """

    settings: dict[str, Any]
    loss: float
    spread: float
    unexplained: float
    nll_free: list[float]


def seeds_of(seed: int, part: int, count: int) -> list[int]:
    """Seeds of some sets of withheld pixels."""
    return [derive_seed(derive_seed(seed, part), number) % 2**31 for number in range(count)]


def run_trials(
    measurement: Measurement,
    mapping: Mapping[str, Any],
    space: Mapping[str, Dimension],
    choices: TuneChoices,
    journal: Path,
    seed: int = 0,
    device: str = "cpu",
    told: Callable[[int], None] = lambda count: None,
) -> list[Trial]:
    """Try the default and then what Optuna proposes, until the budget's trials are done.

    Trials that stand in the journal for the same measurement, recipe, space and seed are not done again; each proposal
    depends on them and on the seed alone, so that an interrupted search comes to the same trials.

    Parameters
    ----------
    journal : file that keeps the trials
    told : called with the number of trials that are done

    Raises
    ------
    InputError   Optuna is not installed, or the journal is no journal
    """
    optuna = _optuna()
    study = _open(optuna, journal, _name(measurement, mapping, space, choices, seed))
    distributions = {key: _distribution(optuna, dim) for key, dim in space.items()}
    for trial in study.get_trials(states=[optuna.trial.TrialState.RUNNING]):  # of a run that was killed
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    seeds = seeds_of(seed, SEARCH, choices.sets)
    while len(done := _done(optuna, study)) < choices.trials:
        told(len(done))
        own_seed, asked = derive_seed(seed, len(done)) % 2**31, None
        if len(done) < FIRST_TRIALS:
            settings = _near_default(space, distributions, own_seed) if done else {}
        else:
            study.sampler = optuna.samplers.TPESampler(constant_liar=False, n_startup_trials=1, seed=own_seed)
            asked = study.ask(distributions)
            settings = asked.params
        found = answer(measurement, with_settings(mapping, settings), seeds, choices.free_fraction, device)
        notes = {
            "settings": settings,
            "spread": found.spread,
            "unexplained": found.unexplained,
            "nll_free": found.nll_free.tolist(),
        }
        if asked is None:
            params = {key: dim.default for key, dim in space.items()} | settings
            made = {"params": params, "distributions": distributions, "user_attrs": notes, "value": found.loss}
            study.add_trial(optuna.trial.create_trial(**made))
        else:
            for key, value in notes.items():
                asked.set_user_attr(key, value)
            study.tell(asked, found.loss)
    told(choices.trials)
    return [Trial(loss=trial.value, **trial.user_attrs) for trial in done[: choices.trials]]


def _optuna():
    optuna = extras.load("optuna", "a search for settings")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def _open(optuna, journal: Path, name: str):
    """The study of this name in the journal, begun if it is not there."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    except (ValueError, KeyError, UnicodeDecodeError) as error:
        raise InputError(f"{journal}: not a journal of trials; remove it, and the search begins anew") from error


def _name(measurement: Measurement, mapping, space, choices: TuneChoices, seed: int) -> str:
    """A name that differs where trials could not be compared; the budget may grow."""
    ranges = {key: repr(dim) for key, dim in space.items()}
    rest = choices.model_dump(exclude={"budget", "fresh_sets", "finalists", "over"})
    text = json.dumps([mapping, ranges, rest, seed], sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode())
    for array in (measurement.intensity, measurement.measured):
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]


def _done(optuna, study) -> list:
    return study.get_trials(states=[optuna.trial.TrialState.COMPLETE])


def _near_default(space: Mapping[str, Dimension], distributions: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """A few keys at random anywhere in their ranges; the others stay."""
    generator = np.random.default_rng(seed)
    keys = generator.choice(list(space), min(VARIED, len(space)), replace=False)
    found = {}
    for key in (key for key in space if key in keys):
        dim, share = space[key], generator.random()
        if isinstance(dim.range, TuneAmong):
            found[key] = dim.range.values[int(share * len(dim.range.values))]
            continue
        low, high = dim.range.low, dim.range.high
        value = low * (high / low) ** share if dim.range.log else low + (high - low) * share
        found[key] = round(value) if dim.is_whole else value
    return found


def _distribution(optuna, dim: Dimension):
    if isinstance(dim.range, TuneAmong):
        return optuna.distributions.CategoricalDistribution(dim.range.values)
    low, high, log = dim.range.low, dim.range.high, dim.range.log
    if dim.is_whole:
        return optuna.distributions.IntDistribution(int(low), int(high), log=log)
    return optuna.distributions.FloatDistribution(low, high, log=log)
