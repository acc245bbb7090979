"""The choice as it runs: look, race, close, tell."""

from __future__ import annotations

from typing import Any

from cdipipe.errors import InputError
from cdipipe.measurement import Reconstruction
from cdipipe.methods.area_scan import name_of, recipe_with_area, scan
from cdipipe.methods.auto.look import Look, look_at
from cdipipe.methods.auto.routes import AREAS, GUIDED, SURE, Recipes, Route, route_for
from cdipipe.phasing.closing import Closed, close, finish, told
from cdipipe.phasing.race import Candidate, Job, Lap, Race, as_shots, candidates_of, like, spread
from cdipipe.phasing.recipe import with_default
from cdipipe.phasing.registry import Choice, get_method

FINALISTS = 5
"""So many of the best laps are closed before one of them wins."""
GUIDED_PATTERNS = 16
"""A guided search takes seconds for each pattern: larger stacks do without."""


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
    return Route("methods that were asked for", rounds=({name: {"method": name} for name in names},), guided=False)


def _candidates(job: Job, recipes: Recipes, parameters) -> list[Candidate]:
    """Recipes with their starts, as far as they take them and fit the measurement."""
    stack, count = job.measurement.stack, parameters.starts
    return candidates_of(job, {name: with_default(r, "restarts", count, stack) for name, r in recipes.items()})


def _take(job: Job, candidate: Candidate, look: Look, why: str) -> tuple[Reconstruction, dict[str, Any]]:
    """One candidate on everything."""
    found = job.phase(job.measurement, candidate.recipe, keep_runs=job.keep_runs, **job.withheld)
    return found, {"seen": look.words(), "chosen": candidate.name, "because": why}


def _run(race: Race, route: Route, parameters) -> tuple[Closed | None, str]:
    """All rounds until a candidate explains the data; the winner, and why it is."""
    ends: dict[str, Closed] = {}

    def closed(lap: Lap) -> Closed:
        if (name := lap.candidate.name) not in ends:
            ends[name] = close(race, lap)
        return ends[name]

    for recipes in route.rounds:
        for candidate in _candidates(race.job, recipes, parameters):
            lap = race.run(candidate)
            if not _agrees(lap, parameters):
                continue
            if closed(lap).excess <= max(parameters.enough, route.enough):
                return closed(lap), f"{candidate.name} leaves {_left(closed(lap), parameters)}, and its starts agree"
            if route.ends_agreed and (same := _same(race, lap, parameters)):
                winner = min(closed(lap), closed(same), key=lambda one: one.score)
                pair = f"{same.candidate.name} and {candidate.name}"
                return winner, f"{pair} find the same object; {winner.lap.candidate.name} explains more"
    if route.shares:
        _scan_areas(race, route.shares, parameters)
    if not race.laps:
        return None, ""
    winner = min(map(closed, race.best(FINALISTS)), key=lambda one: one.score)
    why = f"{winner.lap.candidate.name} explains withheld pixels best of {len(race.laps)}"
    few = race.job.measurement.pattern_count <= GUIDED_PATTERNS
    if _agrees(winner.lap, parameters) or not (route.guided and few):
        return winner, why
    guided = _guided(race, winner)
    if guided is None or guided.score >= winner.score:
        return winner, f"{why}, though its starts disagree"
    return guided, f"{why}; its starts disagree, and a guided search in such a support explains still more"


def _left(closed: Closed, parameters) -> str:
    return "hardly more than noise" if closed.excess <= parameters.enough else "little more than noise"


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


def _guided(race: Race, winner: Closed) -> Closed | None:
    """A guided search whose support follows the winner's rule; None where it does not take the options."""
    wrap = winner.lap.candidate.recipe.shrink_wrap
    recipe = {**GUIDED, "shrink_wrap": wrap.model_dump(mode="json", exclude_defaults=True)}
    name = "guided" if wrap.area is None else name_of("guided", wrap.area[1])
    found = candidates_of(race.job, {name: recipe})
    return close(race, race.run(found[0])) if found else None
