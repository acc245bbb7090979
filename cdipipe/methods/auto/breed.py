"""What all starts of a race found, bred: the best ones averaged with the very best, and phased again.

As in a guided search, but its first generation is there already: the starts of all candidates, each in the support that
it found. What a pattern is explained best by so far (see ``Judged.cost``) leads; so every pattern has its own leader.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cdipipe.errors import InputError
from cdipipe.metrics.align import lay_over
from cdipipe.optics.forward import ForwardModel
from cdipipe.phasing.race import Lap, Race, candidate_of, runs_of
from cdipipe.phasing.starts import Start

RECIPE = {"sequence": "180*HIO+20*ER", "restarts": 1}
GENERATIONS = 3
PARENTS = 4
INSIDE = 0.1
"""A child may be where its leader's support is, or where its other parent exceeds this share of its maximum."""


@dataclass(frozen=True)
class Member:
    """One object of one pattern, its support, (*grid) each, and its cost."""

    object: np.ndarray
    support: np.ndarray
    cost: float


def breed(race: Race, laps: Sequence[Lap], name: str) -> Lap | None:
    """A lap of what comes of some that ran before; None where the options do not allow it.

    Parameters
    ----------
    race : of single patterns or shots
    laps : at least one, of it
    name : of the new lap
    """
    began = time.perf_counter()
    try:
        candidate = candidate_of(race.job, name, RECIPE)
    except InputError:
        return None
    base = laps[0].result
    model = ForwardModel.from_dict(base.forward)
    patterns = range(len(race.patterns))
    members = [_members(race, laps, model, index) for index in patterns]
    for generation in range(GENERATIONS):
        children = [(index, child) for index in patterns for child in _children(members[index], model)]
        start = Start(*(np.stack([child[part] for _, child in children]) for part in (0, 1)))
        shots = _copies(race, [index for index, _ in children])
        found = replace(race.job, seed=race.job.seed + generation).phase(shots, candidate.recipe, start=start)
        for (index, _), object_, support in zip(children, found.object, found.support, strict=True):
            cost = race.judge_one(object_, model, index)[2]
            members[index].append(Member(object_, support, cost))
        for some in members:
            some.sort(key=lambda member: member.cost)
    leaders = [some[0] for some in members]
    objects, supports = (np.stack([getattr(one, name) for one in leaders]) for name in ("object", "support"))
    if not race.is_stack:
        objects, supports = objects[0], supports[0]
    return race.add(candidate, replace(base, object=objects, support=supports, runs=None), began)


def _members(race: Race, laps: Sequence[Lap], model: ForwardModel, index: int) -> list[Member]:
    """All starts of these laps on one pattern, best first."""
    found = []
    for lap in laps:
        support = lap.result.support[index] if race.is_stack else lap.result.support
        for one in runs_of(lap.result, index):
            found.append(Member(one, support, race.judge_one(one, model, index)[2]))
    return sorted(found, key=lambda member: member.cost)


def _children(members: list[Member], model: ForwardModel) -> list[tuple[np.ndarray, np.ndarray]]:
    """Objects and supports of the best ones averaged with the first, which goes on as it is."""
    leader, children = members[0], []
    for member in members[:PARENTS]:
        laid = lay_over(leader.object, member.object, model.freedom)
        modulus = np.abs(laid)
        inside = leader.support | (modulus > INSIDE * modulus.max())
        children.append((((laid + leader.object) / 2).astype(np.complex64), inside))
    return children


def _copies(race: Race, indices: list[int]):
    """The patterns of these numbers without the withheld pixels, as shots."""
    if race.is_stack:
        seen = np.stack([race.seen(index) for index in indices])
        return replace(race.measurement.part(indices), measured=seen)
    one = race.measurement
    return replace(one, stack="shots", intensity=np.stack([one.intensity] * len(indices)))
