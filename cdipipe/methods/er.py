"""Error reduction: alternate the two projections."""

from __future__ import annotations

from cdipipe.phasing.registry import IterativeParameters, Update, alike


def update(exit_wave, problem, support, parameters, iteration):
    """u+ = P_S P_M u (Fienup 1982, error-reduction)."""
    return problem.iterate_(exit_wave, support, a=0.0, b=0.0, c=1.0, g=0.0)


METHOD = Update(
    name="er",
    summary="Error reduction: keep what satisfies the object constraint, zero the rest",
    reference="Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758",
    parameters=IterativeParameters,
    mixes_patterns=True,
    update=update,
    kind=alike,
    converged_estimate=True,
)
