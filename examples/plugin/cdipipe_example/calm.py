"""A method: error reduction that keeps a share of the iterate before."""

from pydantic import Field

from cdipipe.phasing.registry import IterativeParameters, Update


class CalmParameters(IterativeParameters):
    calm: float = Field(0.5, ge=0, lt=1, description="share of the iterate before that is kept")


def update(exit_wave, problem, support, parameters, iteration):
    projected, r_factor = problem.impose_modulus(exit_wave)
    constrained = problem.project_object(projected, support)
    return parameters.calm * exit_wave + (1 - parameters.calm) * constrained, projected, r_factor


METHOD = Update(
    name="calm",
    summary="Error reduction that keeps a share of the iterate before",
    reference="Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758",
    parameters=CalmParameters,
    update=update,
    converged_estimate=True,
)
