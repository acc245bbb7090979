"""Multi-frame PIE: the frames of a movie, each helped by its neighbours in time, with total variation.

The published equations were not available; this is a definition in their spirit (adjacent frames overlap, explicit
total variation in space and time, a hard support), and results are named mfpie-like. With known probe modes P_m,
D = sum_m |P_m|^2, and the exit waves psi'_m that frame s imposes on P_m O_t, one sweep is

    O_t <- O_t + w^|s - t| sum_m P_m* (psi'_m - P_m O_t) / ((1 - alpha) D + alpha max D),   |s - t| = 0 .. h
    O   <- argmin_v 1/2 |v - O|^2 + l_space TV_space(v) + l_time TV_time(v)
    O_t <- 1 where no mode shines
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cdipipe.phasing.registry import LIGHT, IterativeParameters, Joint
from cdipipe.tunable import Tune


class MfPieParameters(IterativeParameters):
    iterations: int = Field(100, ge=1, description="sweeps over all frames")
    alpha: Annotated[float, Tune(0.03, 0.5, log=True)] = Field(
        0.1, gt=0, le=1, description="regularisation of the step; 1: ePIE"
    )
    neighbours: int = Field(1, ge=0, le=10, description="frames to either side whose counts are used too")
    neighbour_weight: Annotated[float, Tune(0.0, 1.0)] = Field(
        0.5, ge=0, le=1, description="weight of a neighbour, to the power of its distance"
    )
    tv_space: Annotated[float, Tune(1e-4, 1e-2, log=True)] = Field(
        1e-3, ge=0, description="weight of total variation in space, in units of transmission"
    )
    tv_time: Annotated[float, Tune(1e-4, 1e-2, log=True)] = Field(
        1e-3, ge=0, description="weight of total variation in time, in units of transmission"
    )
    tv_iterations: int = Field(10, ge=1, le=1000, description="inner iterations of the total variation")
    illumination: float = Field(0.01, gt=0, lt=1, description="the object is 1 where D is below this share of its max")


def begin(*arguments):
    """The step on its way; imports torch."""
    from cdipipe.methods.mf_pie.sweep import SweepRun

    return SweepRun(*arguments)


METHOD = Joint(
    name="mf_pie",
    summary="Multi-frame PIE with known probe modes and total variation in space and time (mfpie-like)",
    reference="Takayama et al., Commun. Phys. 4, 48 (2021), doi:10.1038/s42005-021-00539-z (the idea); Maiden et al., "
    "Optica 4, 736 (2017), doi:10.1364/OPTICA.4.000736 (the step); Chambolle, J. Math. Imaging Vis. 20, 89 (2004), "
    "doi:10.1023/B:JMIV.0000011325.36760.1e (total variation)",
    parameters=MfPieParameters,
    begin=begin,
    needs=("movie", "probe_modes"),
    refuses=("start_support", *LIGHT),
    uses_static_region=False,
)
