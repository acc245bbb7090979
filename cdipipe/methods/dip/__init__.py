"""Deep image prior: an untrained network as the prior, and nothing known beside the object."""

from __future__ import annotations

from cdipipe.methods.dip.parameters import PriorFitParameters
from cdipipe.phasing.registry import LIGHT, Step


def run(state, problem, parameters, recipe, watch):
    """Fit a U-Net whose output within the support explains the counts."""
    from cdipipe.methods.dip.fit import fit_prior

    return fit_prior(state, problem, parameters, recipe, watch)


METHOD = Step(
    name="dip",
    summary="Untrained U-Net as the prior of the object, no static region",
    reference="Ulyanov, Vedaldi & Lempitsky, Int. J. Comput. Vis. 128, 1867 (2020), doi:10.1007/s11263-020-01303-4",
    parameters=PriorFitParameters,
    run=run,
    uses_static_region=False,
    refuses=("shrink_wrap", "stop_below", "average_last", *LIGHT),
    converged_estimate=True,
)
