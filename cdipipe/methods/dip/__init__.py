"""Deep image prior: an untrained network as the prior, and nothing known beside the object."""

from __future__ import annotations

from cdipipe.methods.dip.parameters import UntrainedNetworkParameters
from cdipipe.phasing.registry import LIGHT, Step


def begin(*arguments):
    """The step on its way; imports torch."""
    from cdipipe.methods.dip.fit import NetworkRun

    return NetworkRun(*arguments)


METHOD = Step(
    name="dip",
    summary="Untrained U-Net as the prior of the object, no static region",
    reference="Ulyanov, Vedaldi & Lempitsky, Int. J. Comput. Vis. 128, 1867 (2020), doi:10.1007/s11263-020-01303-4",
    parameters=UntrainedNetworkParameters,
    begin=begin,
    uses_static_region=False,
    refuses=("shrink_wrap", "average_last", *LIGHT),
    converged_estimate=True,
)
