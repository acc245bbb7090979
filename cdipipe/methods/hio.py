"""Hybrid input-output: push back what violates the object constraint."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cdipipe.methods import er
from cdipipe.phasing.registry import IterativeParameters, Update
from cdipipe.tunable import Tune, TuneAmong


class HioParameters(IterativeParameters):
    beta: Annotated[float, Tune(0.5, 1.0)] = Field(
        0.9, gt=0, le=2, description="feedback on pixels that violate the constraint; useful 0.5 to 1"
    )
    er_every: Annotated[int, TuneAmong(0, 10, 40)] = Field(
        0, ge=0, description="every n-th iteration is one of error reduction; 0: never"
    )


def update(exit_wave, problem, support, parameters, iteration):
    """u+ = P where the constraint holds, u - beta P elsewhere; P = P_M u (Fienup 1982, hybrid input-output)."""
    if kind(parameters, iteration) == "er":
        return er.update(exit_wave, problem, support, parameters, iteration)
    return problem.iterate_(exit_wave, support, a=1.0, b=-parameters.beta, c=0.0, g=0.0)


def kind(parameters, iteration):
    """``er`` or ``hio``."""
    return "er" if parameters.er_every and (iteration + 1) % parameters.er_every == 0 else "hio"


METHOD = Update(
    name="hio",
    summary="Hybrid input-output with feedback beta",
    reference="Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758",
    parameters=HioParameters,
    mixes_patterns=True,
    update=update,
    kind=kind,
)
