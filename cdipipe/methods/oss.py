"""Oversampling smoothness: hybrid input-output whose exterior is smoothed, more and more from stage to stage."""

from __future__ import annotations

from pydantic import Field

from cdipipe.phasing.registry import LIGHT, IterativeParameters, Step
from cdipipe.phasing.stages import FILTER_WIDTHS, cut_into_stages, walk


class OssParameters(IterativeParameters):
    beta: float = Field(0.9, gt=0, le=2, description="feedback on pixels that violate the constraint; useful 0.5 to 1")
    alpha: tuple[float, ...] = Field(
        FILTER_WIDTHS,
        min_length=1,
        description="width of the Fourier filter over the array's size, equal stages; it blurs the exterior by "
        "1 / (2 pi alpha) px",
    )
    hio_first: bool = Field(False, description="no filter in the first stage")


def run(state, problem, parameters, recipe, watch):
    """Iterate; every stage ends at its iterate of lowest R-factor, which is looked at in every second iteration."""
    from cdipipe.phasing.best import Best
    from cdipipe.phasing.loop import has_settled

    best, current = Best(len(state.support), problem.device), None
    stages = cut_into_stages(parameters.iterations, (parameters.alpha, None))
    for iteration, stage, _ in walk(stages):
        if stage is not current:
            best.restore(state.exit_wave)
            best.forget()
            skip = parameters.hio_first and current is None
            low_pass, current = None if skip else _filter(stage.values[0], problem), stage
        projected, r_factor = problem.project_modulus(state.exit_wave)
        state.record(r_factor)
        averaged = iteration >= parameters.iterations - state.tail
        if averaged or iteration % 2:
            estimate = problem.project_object(projected, state.support)
            best.offer(problem.r_factor(estimate), state.exit_wave)
            if averaged:
                state.add_to_tail(estimate)
        state.exit_wave = _update(state.exit_wave, projected, problem, state.support, parameters.beta, low_pass)
        if state.shrink_is_due(problem, recipe):
            best.forget(state.shrink(projected, problem, recipe))
        watch.tell(state)
        if has_settled(state, iteration + 1, recipe.stop_below):
            break
    best.restore(state.exit_wave)
    return state


def _update(exit_wave, projected, problem, support, beta, low_pass):
    """u+ = HIO inside the support, W * (HIO outside) outside it.

    The paper smooths the whole plane and keeps the outside. That lets the object's own edge leak out, so that even a
    perfect object moves; smoothing the outside alone leaves it where it is.
    """
    import torch

    exit_wave = problem.update_object_(exit_wave, projected, support, a=1.0, b=-beta, c=0.0, g=0.0)
    if low_pass is None:
        return exit_wave
    return torch.where(support, exit_wave, _smooth(exit_wave * ~support, problem, low_pass))


def _smooth(wave, problem, low_pass):
    from cdipipe.optics import fourier

    if problem.constraint == "real_nonneg":  # the update has left real parts alone
        half = low_pass[..., : wave.shape[-1] // 2 + 1]
        return fourier.multiply_even_corner(wave.real, half, problem.ndim).to(wave.dtype)
    return fourier.inverse_corner(fourier.forward_corner(wave, problem.ndim).mul_(low_pass), problem.ndim)


def _filter(width, problem):
    from cdipipe.optics.fourier import gaussian_corner

    return gaussian_corner(problem.shape, tuple(width * size for size in problem.shape), problem.device)


def estimate(exit_wave, problem, support, parameters):
    """P_S P_M u of the best iterate."""
    projected, _ = problem.project_modulus(exit_wave)
    return problem.project_object(projected, support)


METHOD = Step(
    name="oss",
    summary="Oversampling smoothness: hybrid input-output with a smoothed exterior, for noisy patterns",
    reference="Rodriguez, Xu, Chen, Zou & Miao, J. Appl. Cryst. 46, 312 (2013), doi:10.1107/S0021889813002471",
    parameters=OssParameters,
    run=run,
    refuses=LIGHT,
    estimate=estimate,
)
