"""Relaxed averaged alternating reflections."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cdipipe.phasing.registry import IterativeParameters, Update, alike
from cdipipe.tunable import Tune


class RaarParameters(IterativeParameters):
    beta: Annotated[float, Tune(0.7, 0.99)] = Field(
        0.95, gt=0, le=1, description="relaxation; 0.85 to 0.95 is usual, 1 is Douglas-Rachford"
    )


def update(exit_wave, problem, support, parameters, iteration):
    """u+ = beta/2 (R_S R_M + 1) u + (1 - beta) P_M u, with R = 2P - 1 (Luke 2005).

    The object constraint is tested on the reflection R_M u = 2P - u, not on P.
    """
    beta = parameters.beta
    return problem.iterate_(exit_wave, support, a=beta, b=1 - 2 * beta, c=beta, g=1.0)


METHOD = Update(
    name="raar",
    summary="Relaxed averaged alternating reflections with relaxation beta",
    reference="Luke, Inverse Problems 21, 37 (2005), doi:10.1088/0266-5611/21/1/004",
    parameters=RaarParameters,
    mixes_patterns=True,
    update=update,
    kind=alike,
)
