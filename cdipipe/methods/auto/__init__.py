"""Chooses by itself: looks at the measurement, lets fitting methods race, and goes on with the winner.

Where experience leaves one method (a known static structure, a known probe) that one is taken at once. Everywhere else
candidates phase the same patterns without a share of the pixels; what explains these withheld pixels best is fitted to
all. The record of the result tells what was seen, tried and chosen, and why.
"""

from __future__ import annotations

from pydantic import Field

from cdipipe.phasing.registry import Choice, Parameters


class AutoParameters(Parameters):
    starts: int = Field(4, ge=1, le=1000, description="random starts of every candidate that takes several")
    candidates: tuple[str, ...] | None = Field(
        None, min_length=1, description="names of methods that race, instead of those that the measurement suggests"
    )
    withheld: float = Field(
        0.035, gt=0, lt=0.25, description="share of the measured pixels that judge, once single ones and once in blocks"
    )
    raced: int = Field(16, ge=1, description="patterns of a stack that race; the others take what wins")
    enough: float = Field(
        1.25, ge=1, description="a candidate ends the race whose withheld misfit is below so many times that of noise"
    )
    agree: float = Field(0.98, gt=0, le=1, description="and whose better starts are this well correlated")


def phase(job, parameters):
    """The whole measurement with what is chosen; imports torch."""
    from cdipipe.methods.auto.choose import phase_by_choice

    return phase_by_choice(job, parameters)


METHOD = Choice(
    name="auto",
    summary="Chooses by itself: looks at the measurement, lets methods race on withheld pixels, tells why",
    reference="this package; Brunger, Nature 355, 472 (1992), doi:10.1038/355472a0 (withheld data)",
    parameters=AutoParameters,
    phase=phase,
)
