"""Supports that shrink to given shares of the array: withheld pixels say which share is the object's.

Behind a beam stop a threshold on the modulus lets the support grow, and unmeasured low frequencies fill it. A support
of a given area cannot grow; the right area is that which explains best what no run saw.
"""

from __future__ import annotations

import itertools
import math
from typing import Literal

from pydantic import Field, field_validator

from cdipipe.phasing.registry import Choice, Parameters

PLANE_SHARES = (0.02, 0.03, 0.05, 0.08, 0.12)
VOLUME_SHARES = (0.02, 0.05, 0.1, 0.2, 0.35)
LARGEST = 0.5


class AreaScanParameters(Parameters):
    iterations: int = Field(400, ge=5, description="iterations of each start, a fifth of them error reduction")
    base: Literal["raar", "hio", "gps", "dm"] = Field("raar", description="method that phases inside each support")
    shares: tuple[float, ...] | None = Field(
        None,
        min_length=1,
        description="last shares of the array that supports shrink to; not given: 0.02 to 0.12 in planes, 0.02 to 0.35 "
        "in volumes",
    )
    first: float = Field(3.0, ge=1, description="factor on the share at the start, as far as half the array")
    refine: int = Field(2, ge=0, le=20, description="further shares, each beside the best one so far")
    starts: int = Field(4, ge=1, le=1000, description="random starts of each share")
    withheld: float = Field(
        0.035, gt=0, lt=0.25, description="share of the measured pixels that judge, once single ones and once in blocks"
    )
    raced: int = Field(4, ge=1, description="patterns of a stack that are tried; the others take what wins")

    @field_validator("shares")
    @classmethod
    def _are_shares(cls, value):
        if value is not None and not all(0 < share <= LARGEST for share in value):
            raise ValueError("shares of the array, each above 0 and at most 0.5")
        return value


def recipe_with_area(recipe: dict, share: float, first: float = 3.0) -> dict:
    """A recipe as plain data whose support shrinks to a share of the array."""
    return {**recipe, "shrink_wrap": {"area": [min(LARGEST, first * share), share]}}


def name_of(base: str, share: float) -> str:
    """What messages call it: ``raar in 3 % of the array``."""
    return f"{base} in {100 * share:.3g} % of the array"


def scan(race, base: str, recipe: dict, shares, refine: int, first: float = 3.0, downhill: bool = False):
    """Try a recipe with all shares, then between the best and its neighbours; the laps by share.

    Parameters
    ----------
    race : Race
    base, recipe : the method inside each support, by name and as plain data
    shares : of the array
    refine : further shares
    first : factor on a share at the start
    downhill : go from the middle share to that side where the score falls, for as long as it does
    """
    from cdipipe.phasing.race import candidates_of

    laps = {}

    def run(share: float) -> bool:
        """Whether it is the best so far."""
        found = candidates_of(race.job, {name_of(base, share): recipe_with_area(recipe, share, first)})
        if found:
            laps[share] = race.run(found[0])
        return bool(found) and min(laps, key=lambda one: laps[one].score) == share

    if downhill:
        ordered = sorted(shares)
        middle = len(ordered) // 2
        run(ordered[middle])
        for side in (ordered[middle + 1 :], ordered[middle - 1 :: -1] if middle else []):
            if any([*itertools.takewhile(run, side)]):
                break
    else:
        for share in shares:
            run(share)
    for _ in range(refine if laps else 0):
        run(_beside(laps))
    return laps


def _beside(laps) -> float:
    """The share between the best one and that of its neighbours that is better; beyond the end where it is the last."""
    order = sorted(laps)
    best = order.index(min(laps, key=lambda share: laps[share].score))
    near = [order[place] for place in (best - 1, best + 1) if 0 <= place < len(order)]
    if not near:
        return order[best] / 1.5
    other = min(near, key=lambda share: laps[share].score)
    return round(math.sqrt(order[best] * other), 6)


def phase(job, parameters):
    """The whole measurement with the best share; imports torch."""
    from cdipipe.phasing.closing import best_of, close, finish, told
    from cdipipe.phasing.race import Race, as_shots, candidate_of, like, spread

    own, inner = parameters, as_shots(job)
    race = Race(inner, spread(inner, own.raced), own.withheld)
    shares = own.shares or (VOLUME_SHARES if inner.measurement.stack == "volume" else PLANE_SHARES)
    recipe = {"method": own.base, "iterations": own.iterations, "restarts": own.starts}
    candidate_of(inner, own.base, recipe_with_area(recipe, shares[0], own.first))  # complains if it does not fit
    laps = scan(race, own.base, recipe, shares, own.refine, own.first)
    winner = best_of(close(race, race.best()[0]))
    because = f"{winner.name} explains withheld pixels best of {len(laps)} areas"
    return like(finish(inner, race, winner), job), told(race, winner, because)


METHOD = Choice(
    name="area_scan",
    summary="Supports that shrink to several shares of the array; withheld pixels choose, for a missing centre",
    reference="Marchesini et al., Phys. Rev. B 68, 140101 (2003), doi:10.1103/PhysRevB.68.140101 (shrink-wrap); "
    "Brunger, Nature 355, 472 (1992), doi:10.1038/355472a0 (withheld data)",
    parameters=AreaScanParameters,
    phase=phase,
    needs=("alone",),
)
