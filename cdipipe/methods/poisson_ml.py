"""Poisson maximum likelihood: nonlinear conjugate gradients from a good start.

The closing step of a recipe. With counts I and prediction J = |F u|^2, a small floor added to both, it lowers

    L(u) = sum_measured (J - I ln J)

whose gradient (with respect to conj u) is F^-1 [M (1 - I / J) F u]. The step length along a direction d is found
by Newton's method on the detector, where F(u + t d) = Fu + t Fd, so a line search costs no transform.
"""

from __future__ import annotations

from pydantic import Field

from cdipipe.phasing.registry import IterativeParameters, Step
from cdipipe.phasing.steps import StepRun


class PoissonMlParameters(IterativeParameters):
    iterations: int = Field(30, ge=1, description="conjugate-gradient steps")
    floor: float = Field(
        1e-2, gt=0, description="photons per pixel added to counts and model, keeps the logarithm finite"
    )


class PoissonMlRun(StepRun):
    """Lower the Poisson negative log-likelihood inside the support."""

    def iterate(self):
        from cdipipe.optics.misfits import r_factor

        state, problem, floor = self.state, self.problem, self.parameters.floor
        state.exit_wave = problem.project_object(state.exit_wave, state.support)
        wave = problem.model.wavefront(state.exit_wave)
        gradient = direction = None
        for _ in range(self.parameters.iterations):
            new_gradient = _gradient(problem, wave, state.support, floor)
            direction = _conjugate(new_gradient, gradient, direction)
            gradient = new_gradient
            step = _line_search(problem, wave, problem.model.propagate(direction), floor)
            state.exit_wave = problem.project_object(state.exit_wave + step * direction, state.support)
            if problem.constraint != "support":
                direction = None  # a projected step breaks conjugacy: start afresh
            wave = problem.model.wavefront(state.exit_wave)
            yield r_factor(problem.model.detect(wave), problem.modulus, problem.measured, problem.modulus_sum)

    def estimate(self):
        return self.state.exit_wave


def _gradient(problem, wave, support, floor):
    from cdipipe.optics.misfits import poisson_slope

    counts = problem.intensity.clamp(min=0)
    weight = problem.model.spread(poisson_slope(problem.model.detect(wave), counts, floor) * problem.measured)
    return problem.model.backpropagate(problem.model.per_mode(weight) * wave) * support


def _conjugate(gradient, previous, direction):
    """Polak-Ribiere direction, one factor per restart, falling back to steepest descent."""
    if direction is None:
        return -gradient
    axes = tuple(range(1, gradient.ndim))
    top = (gradient.conj() * (gradient - previous)).real.sum(axes, keepdim=True)
    factor = (top / previous.abs().square().sum(axes, keepdim=True).clamp(min=1e-30)).clamp(min=0)
    return factor * direction - gradient


def _line_search(problem, wave, change, floor, rounds=4):
    """Newton steps on t of L(|z + t D|^2), from the quadratic model; (B, 1, ...) real, never negative."""
    counts = problem.intensity.clamp(min=0) + floor
    start = problem.model.detect(wave)
    changes = 2 * (wave.conj() * change).real, change.abs().square()
    linear, square = (problem.model.spread(problem.model.sum_modes(part)) for part in changes)
    axes = tuple(range(1, square.ndim))
    step = square.new_zeros((square.shape[0],) + (1,) * (square.ndim - 1))
    for _ in range(rounds):
        intensity = (start + step * linear + step**2 * square).clamp(min=0) + floor
        slope_in = linear + 2 * step * square
        ratio = counts / intensity
        slope = (problem.measured * (1 - ratio) * slope_in).sum(axes, keepdim=True)
        # expected curvature: positive, so that the step goes downhill
        curvature = (problem.measured * slope_in.square() * ratio / intensity).sum(axes, keepdim=True)
        curvature = curvature + (problem.measured * 2 * square * (1 - ratio)).sum(axes, keepdim=True).clamp(min=0)
        step = (step - slope / curvature.clamp(min=1e-30)).clamp(min=0)
    return step


METHOD = Step(
    name="poisson_ml",
    summary="Poisson maximum likelihood by conjugate gradients, a closing refinement",
    reference="Thibault & Guizar-Sicairos, New J. Phys. 14, 063004 (2012), doi:10.1088/1367-2630/14/6/063004",
    parameters=PoissonMlParameters,
    begin=PoissonMlRun,
    refuses=("shrink_wrap",),
    converged_estimate=True,
)
