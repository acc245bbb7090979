"""LoDIP: an untrained network as the prior of a dim sample beside a bright and known static region."""

from __future__ import annotations

from cdipipe.methods.dip.parameters import PriorFitParameters
from cdipipe.phasing.registry import LIGHT, Step


def run(state, problem, parameters, recipe, watch):
    """Fit a U-Net whose output, within the support and beside the static region, explains the counts."""
    from cdipipe.methods.dip.fit import fit_prior

    return fit_prior(state, problem, parameters, recipe, watch)


METHOD = Step(
    name="lodip",
    summary="Untrained U-Net as the prior of a low-dose sample beside a known static region",
    reference="Manekar, Negrini, Pham, Jacobs, Srivastava, Osher, Miao, LoDIP: Low light phase retrieval with deep "
    "image prior, arXiv:2402.17745, doi:10.48550/arXiv.2402.17745",
    parameters=PriorFitParameters,
    run=run,
    needs=("static_region",),
    refuses=("shrink_wrap", "stop_below", "average_last", "start_support", "use_static_region", *LIGHT),
    converged_estimate=True,
)
