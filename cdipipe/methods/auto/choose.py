"""The choice as it runs: look, race, close, tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Reconstruction
from cdipipe.methods.area_scan import name_of, recipe_with_area, scan
from cdipipe.methods.auto.breed import breed
from cdipipe.methods.auto.look import Look, look_at
from cdipipe.methods.auto.routes import AREAS, LATER, SURE, Recipes, Route, route_for
from cdipipe.phasing.closing import Closed, Winner, best_of, close, finish, told
from cdipipe.phasing.race import Candidate, Job, Lap, Race, as_shots, candidates_of, like, spread
from cdipipe.phasing.recipe import with_default
from cdipipe.phasing.registry import Choice, get_method

CLOSABLE = 1.5
"""A single start is closed early where its misfit is below so many times the one that would end the race."""
FINALISTS = 3
"""So many of the best laps are closed before one of them wins, and the best one of each pattern."""


def phase_by_choice(job: Job, parameters) -> tuple[Reconstruction, dict[str, Any]]:
    """The whole measurement with what is chosen.

    Parameters
    ----------
    job : what to phase
    parameters : AutoParameters

    Returns
    -------
    Reconstruction, and what the record tells of the choice
    """
    look = look_at(job.measurement)
    route = route_for(look) if parameters.candidates is None else _asked(parameters.candidates)
    if sure := _candidates(job, route.sure, parameters):
        return _take(job, sure[0], look, f"{route.because}: {sure[0].name}, without a race")
    inner = as_shots(job) if look.static == "none" and not look.probe else job
    race = Race(inner, spread(inner, parameters.raced), parameters.withheld)
    winner, why = _run(race, route, parameters)
    if winner is None:
        sure = _candidates(job, SURE, parameters)
        return _take(job, sure[0], look, f"nothing else takes these options: {sure[0].name}")
    found = finish(inner, race, winner)
    return like(found, job), {"seen": look.words(), **told(race, winner, f"{route.because}: {why}")}


def _asked(names: tuple[str, ...]) -> Route:
    for name in names:
        if isinstance(get_method(name, "auto.candidates"), Choice):
            raise InputError(f"auto.candidates: {name} lets others race and cannot race itself")
    return Route("methods that were asked for", rounds=({name: {"method": name} for name in names},), breeds=False)


def _candidates(job: Job, recipes: Recipes, parameters) -> list[Candidate]:
    """Recipes with their starts, as far as they take them and fit the measurement."""
    stack, count = job.measurement.stack, parameters.starts
    return candidates_of(job, {name: with_default(r, "restarts", count, stack) for name, r in recipes.items()})


def _take(job: Job, candidate: Candidate, look: Look, why: str) -> tuple[Reconstruction, dict[str, Any]]:
    """One candidate on everything."""
    found = job.phase(job.measurement, candidate.recipe, keep_runs=job.keep_runs, **job.withheld)
    return found, {"seen": look.words(), "chosen": candidate.name, "because": why}


def _run(race: Race, route: Route, parameters) -> tuple[Winner | None, str]:
    """All rounds until a candidate explains the data; the winner, and why it is."""
    ends: dict[int, list[Closed]] = {}

    def closed(*laps: Lap) -> Winner:
        for lap in laps:
            if id(lap) not in ends:
                ends[id(lap)] = close(race, lap)
        return best_of([one for lap in laps for one in ends[id(lap)]])

    enough = max(parameters.enough, route.enough)
    first = [race.run(candidate) for candidate in _candidates(race.job, route.first, parameters)]
    for lap in first:
        if lap.judged.excess <= parameters.enough * CLOSABLE and (winner := closed(lap)).excess <= parameters.enough:
            return winner, f"{lap.candidate.name} leaves {_left(winner, parameters)}"
    for recipes in route.rounds:
        for candidate in _candidates(race.job, recipes, parameters):
            lap = race.run(candidate)
            if not _agrees(lap, parameters):
                continue
            if (winner := closed(lap)).excess <= enough:
                return winner, f"{candidate.name} leaves {_left(winner, parameters)}, and its starts agree"
            if route.ends_agreed and (same := _same(race, lap, parameters)):
                winner = closed(lap, same)
                pair = f"{same.candidate.name} and {candidate.name}"
                return winner, f"{pair} find the same object; {winner.name} explains more"
    breeds = route.breeds and race.is_whole and bool(race.laps)
    if breeds and len(pair := _bred_apart(race)) == 2:
        alike = race.in_common(*pair) >= parameters.agree
        if (winner := closed(*pair)).excess <= route.enough_bred or alike:
            left = "find the same object" if alike else "leave little more than noise"
            return winner, f"{pair[0].candidate.name} and {pair[1].candidate.name}, bred apart, {left}"
    for candidate in _candidates(race.job, LATER, parameters) if breeds else ():
        race.run(candidate)
    if route.shares:
        _scan_areas(race, route.shares, parameters)
    if not race.laps:
        return None, ""
    if breeds and route.shares:
        breed(race, race.laps, "all starts, bred")
    winner = closed(*_finalists(race, first))
    return winner, f"{winner.name} explains withheld and other pixels best of {len(race.laps)}"


def _bred_apart(race: Race) -> list[Lap]:
    """The starts of the first candidate, bred, and those of the others."""
    first, *others = race.laps
    groups = {f"starts of {first.candidate.name}": [first], "those of others": others}
    found = [breed(race, laps, name) for name, laps in groups.items() if laps]
    return [lap for lap in found if lap is not None]


def _finalists(race: Race, first: list[Lap]) -> list[Lap]:
    """The best laps, and the best one of each pattern.

    What was tried first is one of them only where it predicts withheld pixels best: its supports are larger than those
    of the others, and explain what was seen the better for it.
    """
    leader = race.best(1)[0]
    laps = [lap for lap in race.laps if lap is leader or not any(lap is one for one in first)]
    best = np.argmin([lap.judged.cost for lap in laps], axis=0)
    chosen = [*sorted(laps, key=lambda lap: lap.score)[:FINALISTS], *(laps[which] for which in best)]
    return [lap for number, lap in enumerate(chosen) if not any(lap is other for other in chosen[:number])]


def _left(winner: Winner, parameters) -> str:
    return "hardly more than noise" if winner.excess <= parameters.enough else "little more than noise"


def _same(race: Race, lap: Lap, parameters) -> Lap | None:
    """A lap before this one whose starts agree on the same object."""
    before = (one for one in race.laps if one is not lap and _agrees(one, parameters))
    return next((one for one in before if race.in_common(one, lap) >= parameters.agree), None)


def _agrees(lap: Lap, parameters) -> bool:
    return bool(lap.agreement.min() >= parameters.agree)


def _scan_areas(race: Race, shares: tuple[float, ...], parameters) -> None:
    """Supports of several areas in one method, then the best area in others."""
    (base, recipe), *others = AREAS.items()
    laps = scan(race, base, {**recipe, "restarts": parameters.starts}, shares, refine=2, downhill=True)
    if not laps:
        return
    share = min(laps, key=lambda one: laps[one].score)
    more = {name_of(name, share): recipe_with_area(dict(recipe), share) for name, recipe in others}
    for candidate in _candidates(race.job, more, parameters):
        race.run(candidate)
