"""The end of a race: the best laps are polished inside their supports, and the winner is fitted to all pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cdipipe.measurement import Reconstruction
from cdipipe.metrics.align import lay_over
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.race import Candidate, Job, Judged, Lap, Race, candidates_of, mean_log, runs_of
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
    """A lap and one closing of it.

    Parameters
    ----------
    lap : what was closed
    closing : None where none takes the options
    judged : of its objects after the closing
    """

    lap: Lap
    closing: Candidate | None
    judged: Judged


@dataclass(frozen=True)
class Winner:
    """The lap of each pattern that won, and one closing for all.

    Parameters
    ----------
    laps : of each pattern that took part
    closing : None where none takes the options
    excess : withheld misfit over that of noise after the closing, of the pattern that is explained worst
    """

    laps: list[Lap]
    closing: Candidate | None
    excess: float

    @property
    def closing_name(self) -> str:
        """What messages call it."""
        return "none" if self.closing is None else self.closing.name

    @property
    def name(self) -> str:
        """The candidates that won, each once."""
        return "; ".join(dict.fromkeys(lap.candidate.name for lap in self.laps))

    @property
    def first(self) -> Lap:
        """The lap that won most patterns: patterns that did not take part are given to its candidate."""
        return max(self.laps, key=lambda lap: sum(other is lap for other in self.laps))


def close(race: Race, lap: Lap) -> list[Closed]:
    """Try every closing on a lap, without the withheld pixels.

    Parameters
    ----------
    race, lap : as they ran
    """
    start, tried = Start(lap.result.object, lap.result.support), []
    for closing in candidates_of(race.job, CLOSINGS):
        found = race.job.phase(race.measurement, closing.recipe, start=start)
        tried.append(Closed(lap, closing, race.judge(found)))
    return tried or [Closed(lap, None, lap.judged)]


def best_of(closed: Sequence[Closed]) -> Winner:
    """For each pattern the lap of lowest cost, by the closing with which these are lowest.

    Parameters
    ----------
    closed : of :func:`close`, of one lap or of several
    """
    tried = []
    for name in dict.fromkeys(one.closing and one.closing.name for one in closed):
        alike = [one for one in closed if (one.closing and one.closing.name) == name]
        best = np.argmin([one.judged.cost for one in alike], axis=0)
        chosen = [(alike[which], pattern) for pattern, which in enumerate(best)]
        cost = mean_log(np.array([one.judged.cost[pattern] for one, pattern in chosen]))
        excess = max(one.judged.over_noise[pattern] for one, pattern in chosen)
        tried.append((cost, Winner([one.lap for one, _ in chosen], alike[0].closing, float(excess))))
    return min(tried, key=lambda pair: pair[0])[1]


def finish(job: Job, race: Race, winner: Winner) -> Reconstruction:
    """The winner on the whole measurement: all patterns, and the withheld pixels, too.

    Parameters
    ----------
    job, race : as they ran
    winner : of :func:`best_of`
    """
    if race.is_whole and winner.closing is not None:
        return _fit(job, winner.closing, _put_together(race, winner))
    recipe = winner.first.candidate.recipe
    begun = job.phase(job.measurement, recipe, keep_runs=job.keep_runs, **job.withheld)
    return begun if winner.closing is None else _fit(job, winner.closing, begun)


def _put_together(race: Race, winner: Winner) -> Reconstruction:
    """Each pattern from the lap that won it; runs as many as all of them have."""
    first = winner.first
    if not race.is_stack or all(lap is first for lap in winner.laps):
        return first.result
    runs = [runs_of(lap.result, index) for index, lap in enumerate(winner.laps)]
    count = min(map(len, runs))
    return replace(
        first.result,
        object=np.stack([lap.result.object[index] for index, lap in enumerate(winner.laps)]),
        support=np.stack([lap.result.support[index] for index, lap in enumerate(winner.laps)]),
        runs=np.stack([some[:count] for some in runs], axis=1) if count > 1 else None,
    )


def told(race: Race, winner: Winner, because: str) -> dict[str, Any]:
    """What the record of the result tells of a race: the winner, why, and all laps from best to worst.

    Parameters
    ----------
    race : as it ran
    winner : of :func:`best_of`
    because : why, in words
    """
    return {
        "chosen": winner.name,
        "because": because,
        "closing": winner.closing_name,
        "recipe": winner.first.candidate.recipe.to_mapping(),
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
