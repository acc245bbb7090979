"""The end of a race: the best laps are polished inside their supports, and the winner is fitted to all pixels."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import lay_over
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.race import Candidate, Job, Lap, Race, candidates_of
from cdipipe.phasing.starts import Start

STILL = {"shrink_wrap": {"every": 0}}
SMOOTH = {"iterations": 80, "learning_rate": 0.02, "loss": "poisson", "tv_weight": 1.0}
CLOSINGS: dict[str, dict[str, Any]] = {
    "error reduction": {"steps": [{"er": {"iterations": 20}}], **STILL},
    "likelihood and total variation": {"steps": [{"ad_refine": SMOOTH}], **STILL},
}
"""What may follow the winner, inside its support."""


@dataclass(frozen=True)
class Closed:
    """A lap and the closing that explains the withheld pixels best.

    Parameters
    ----------
    lap : what was closed
    closing : None where none takes the options
    score : withheld misfit after it, as of a lap
    excess : over noise, as of a lap
    """

    lap: Lap
    closing: Candidate | None
    score: float
    excess: float

    @property
    def closing_name(self) -> str:
        """What messages call it."""
        return "none" if self.closing is None else self.closing.name


def close(race: Race, lap: Lap) -> Closed:
    """Try every closing on a lap, without the withheld pixels.

    Parameters
    ----------
    race, lap : as they ran
    """
    start = Start(lap.result.object, lap.result.support)
    tried = [Closed(lap, None, lap.score, lap.excess)]
    for closing in candidates_of(race.job, CLOSINGS):
        found = race.job.phase(race.measurement, closing.recipe, start=start)
        tried.append(Closed(lap, closing, *race.judge(found)))
    return min(tried[1:] or tried, key=lambda one: one.score)


def finish(job: Job, race: Race, winner: Closed) -> Reconstruction:
    """The winner on the whole measurement: all patterns, and the withheld pixels, too.

    Parameters
    ----------
    job, race : as they ran
    winner : of :func:`close`
    """
    whole = len(race.indices) == job.measurement.pattern_count
    if whole and winner.closing is not None:
        return _fit(job, winner.closing, winner.lap.result)
    recipe = winner.lap.candidate.recipe
    begun = job.phase(job.measurement, recipe, keep_runs=job.keep_runs, **job.withheld)
    return begun if winner.closing is None else _fit(job, winner.closing, begun)


def told(race: Race, winner: Closed, because: str) -> dict[str, Any]:
    """What the record of the result tells of a race: the winner, why, and all laps from best to worst.

    Parameters
    ----------
    race : as it ran
    winner : of :func:`close`
    because : why, in words
    """
    return {
        "chosen": winner.lap.candidate.name,
        "because": because,
        "closing": winner.closing_name,
        "recipe": winner.lap.candidate.recipe.to_mapping(),
        "race": [lap.told() for lap in sorted(race.laps, key=lambda lap: lap.score)],
    }


def _fit(job: Job, closing: Candidate, begun: Reconstruction) -> Reconstruction:
    """The closing on all pixels, of the best start, and of the others where they are to be kept."""

    def fit(object_: np.ndarray) -> Reconstruction:
        start = Start(object_, begun.support)
        return job.phase(job.measurement, closing.recipe, start=start, **job.withheld)

    best = fit(begun.object)
    if not job.keep_runs or begun.runs is None:
        return best
    return _with_runs(best, [fit(one) for one in begun.runs[1:]])


def _with_runs(best: Reconstruction, others: list[Reconstruction]) -> Reconstruction:
    """The best run with the others laid over it."""
    freedom = ForwardModel.from_dict(best.forward).freedom
    if best.stack == "shots":
        count = range(len(best.object))
        laid = [np.stack([lay_over(best.object[i], o.object[i], freedom) for i in count]) for o in others]
        return replace(best, runs=np.stack([best.object, *laid]))
    order = sorted(others, key=lambda other: float(other.run_scores["poisson_nll"][0]))
    laid = [lay_over(best.object, other.object, freedom) for other in order]
    scores = {name: np.concatenate([one.run_scores[name] for one in (best, *order)]) for name in best.run_scores}
    scores["seed"] = np.arange(1.0 + len(laid))
    return replace(best, runs=np.stack([best.object, *laid]), run_scores=scores)
