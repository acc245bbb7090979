"""LoDIP: an untrained network as the prior of a dim sample beside a bright and known static region."""

from __future__ import annotations

from cdipipe.methods.dip.parameters import UntrainedNetworkParameters
from cdipipe.phasing.registry import LIGHT, Step


def begin(*arguments):
    """The step on its way; imports torch."""
    from cdipipe.methods.dip.fit import NetworkRun

    return NetworkRun(*arguments)


METHOD = Step(
    name="lodip",
    summary="Untrained U-Net as the prior of a low-dose sample beside a known static region",
    reference="Manekar, Negrini, Pham, Jacobs, Srivastava, Osher, Miao, LoDIP: Low light phase retrieval with deep "
    "image prior, arXiv:2402.17745, doi:10.48550/arXiv.2402.17745",
    parameters=UntrainedNetworkParameters,
    begin=begin,
    needs=("static_region",),
    refuses=("shrink_wrap", "average_last", "start_support", "use_static_region", *LIGHT),
    converged_estimate=True,
)
