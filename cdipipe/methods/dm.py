"""Difference map."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cdipipe.phasing.registry import IterativeParameters, Update, alike
from cdipipe.tunable import Tune


class DmParameters(IterativeParameters):
    beta: Annotated[float, Tune(0.5, 1.1)] = Field(0.8, gt=0, le=2, description="step of the map; 0.7 to 1 is usual")
    gamma_modulus: float | None = Field(None, description="relaxation of P_M; none: 1/beta")
    gamma_support: float | None = Field(None, description="relaxation of P_S; none: -1/beta")


def _relaxations(parameters):
    gamma_modulus = 1 / parameters.beta if parameters.gamma_modulus is None else parameters.gamma_modulus
    gamma_support = -1 / parameters.beta if parameters.gamma_support is None else parameters.gamma_support
    return gamma_modulus, gamma_support


def update(exit_wave, problem, support, parameters, iteration):
    """u+ = u + beta (P_S f_M(u) - P_M f_S(u)), f = (1 + gamma) P - gamma (Elser 2003)."""
    gamma_modulus, gamma_support = _relaxations(parameters)
    projected, r_factor = problem.impose_modulus(exit_wave)
    relaxed_modulus = projected.mul(1 + gamma_modulus).sub_(exit_wave, alpha=gamma_modulus)
    relaxed_support = problem.project_object(exit_wave, support).mul_(1 + gamma_support)
    relaxed_support.sub_(exit_wave, alpha=gamma_support)
    second, _ = problem.impose_modulus(relaxed_support)
    step = problem.project_object(relaxed_modulus, support).sub_(second)
    return exit_wave.add_(step, alpha=parameters.beta), projected, r_factor


def estimate(exit_wave, problem, support, parameters):
    """P_S f_M(u): a fixed point of the map is not the object, its two projections are."""
    gamma_modulus, _ = _relaxations(parameters)
    projected, _ = problem.impose_modulus(exit_wave)
    relaxed = projected.mul_(1 + gamma_modulus).sub_(exit_wave, alpha=gamma_modulus)
    return problem.project_object(relaxed, support)


METHOD = Update(
    name="dm",
    summary="Difference map with step beta",
    reference="Elser, J. Opt. Soc. Am. A 20, 40 (2003), doi:10.1364/JOSAA.20.000040",
    parameters=DmParameters,
    mixes_patterns=True,
    update=update,
    kind=alike,
    estimate=estimate,
)
