"""Oversampling smoothness: hybrid input-output whose exterior is smoothed, more and more from stage to stage."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cdipipe.phasing.registry import LIGHT, IterativeParameters, Step
from cdipipe.phasing.schedule import FILTER_WIDTHS, cut_into_blocks, walk
from cdipipe.phasing.steps import StepRun
from cdipipe.tunable import Tune, TuneAmong


class OssParameters(IterativeParameters):
    beta: Annotated[float, Tune(0.5, 1.0)] = Field(
        0.9, gt=0, le=2, description="feedback on pixels that violate the constraint; useful 0.5 to 1"
    )
    alpha: tuple[float, ...] = Field(
        FILTER_WIDTHS,
        min_length=1,
        description="width of the Fourier filter over the array's size, equal stages; it blurs the exterior by "
        "1 / (2 pi alpha) px",
    )
    hio_first: Annotated[bool, TuneAmong(False, True)] = Field(False, description="no filter in the first stage")


class OssRun(StepRun):
    """Every stage ends at its iterate of lowest R-factor, which is looked at in every second iteration."""

    def iterate(self):
        from cdipipe.phasing.best import Best

        state, problem, own = self.state, self.problem, self.parameters
        self._best, current = Best(len(state.support), problem.device), None
        for iteration, block, _ in walk(cut_into_blocks(own.iterations, (own.alpha, None))):
            if block is not current:
                self._best.restore(state.exit_wave)
                self._best.forget()
                skip = own.hio_first and current is None
                low_pass, current = None if skip else _filter(block.values[0], problem, state.exit_wave), block
            self._projected, r_factor = problem.impose_modulus(state.exit_wave)
            if iteration % 2:
                self._best.offer(problem.r_factor(self.estimate()), state.exit_wave)
            state.exit_wave = _update(state.exit_wave, self._projected, problem, state.support, own.beta, low_pass)
            yield r_factor

    def projected(self):
        return self._projected

    def forget(self, items=None):
        self._best.forget(slice(None) if items is None else items)

    def leave(self):
        return self._best.pick(self.state.exit_wave)[0], self.state.support

    def finish(self, exit_wave, support):
        projected, _ = self.problem.impose_modulus(exit_wave)
        return self.problem.project_object(projected, support)


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
    from cdipipe.ops import fft
    from cdipipe.optics import fourier

    scaled = fft.share(wave, problem.ndim) == 1
    if problem.constraint == "real_nonneg":  # the update has left real parts alone
        half = low_pass[..., : wave.shape[-1] // 2 + 1]
        return fourier.multiply_even_corner(wave.real, half, problem.ndim, scaled).to(wave.dtype)
    wavefront = fourier.forward_corner(wave, problem.ndim, scaled).mul_(low_pass)
    return fourier.inverse_corner(wavefront, problem.ndim, scaled)


def _filter(width, problem, exit_wave):
    """The filter, with the scaling that transforms on a GPU leave out."""
    from cdipipe.ops import fft
    from cdipipe.optics.fourier import gaussian_corner

    widths = tuple(width * size for size in problem.shape)
    return gaussian_corner(problem.shape, widths, problem.device) * fft.share(exit_wave, problem.ndim) ** 2


METHOD = Step(
    name="oss",
    summary="Oversampling smoothness: hybrid input-output with a smoothed exterior, for noisy patterns",
    reference="Rodriguez, Xu, Chen, Zou & Miao, J. Appl. Cryst. 46, 312 (2013), doi:10.1107/S0021889813002471",
    parameters=OssParameters,
    begin=OssRun,
    refuses=LIGHT,
    mixes_patterns=True,
)
