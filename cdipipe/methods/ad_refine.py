"""Gradient refinement of the pixels on the oversampled data, from any start.

Lowers L(u) = misfit(|F u|^2, I) + weight * TV(u) over the real and imaginary parts of the pixels inside a support,
with Adam. 3D-CDI-NN refines its networks' output so (misfit of amplitudes divided by their maxima, no TV, support
renewed every 50 iterations); with the Poisson misfit and TV it is a strong closing step for noisy patterns.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from cdipipe.phasing.registry import IterativeParameters, Step
from cdipipe.phasing.steps import StepRun
from cdipipe.tunable import Tune


class AdRefineParameters(IterativeParameters):
    iterations: int = Field(200, ge=1, description="Adam steps")
    learning_rate: Annotated[float, Tune(0.005, 0.1, log=True)] = Field(
        0.02, gt=0, le=1, description="first step per pixel, in units of the object's rms modulus; falls to 2 % of it"
    )
    loss: Literal["amplitude", "poisson", "max_amplitude"] = Field(
        "amplitude",
        description="amplitude: 2 sum (|Fu| - sqrt I)^2; poisson: negative log-likelihood; max_amplitude: amplitudes "
        "divided by their maxima, so that the scale is free",
    )
    tv_weight: float = Field(
        0.0, ge=0, description="weight of the isotropic total variation, in sqrt(photons); about 1 suits noisy patterns"
    )
    dilate_px: int = Field(0, ge=0, le=100, description="pixels by which the support grows first")
    support_every: int = Field(0, ge=0, description="iterations between support updates; 0: the support stays")
    support_sigma_px: float = Field(1.0, ge=0, description="Gaussian blur of a support update")
    support_threshold: float = Field(0.15, gt=0, lt=1, description="share of the maximum of the blurred modulus")
    support_fall: float = Field(
        0.1, ge=0, lt=1, description="the support is renewed where the loss fell by this share since the last time"
    )


class AdRefineRun(StepRun):
    """Refine a batch; its result is the iterate of lowest loss."""

    def iterate(self):
        from cdipipe.phasing.descend import Descent, dilate

        support, pixels = self.state.support, self.parameters.dilate_px
        support = dilate(support, pixels, self.problem.ndim) if pixels else support
        self._descent = Descent(self.problem, self.state.exit_wave, support, self.parameters)
        for r_factor in self._descent.iterate():
            self.state.exit_wave, self.state.support = self._descent.wave, self._descent.support
            yield r_factor

    def estimate(self):
        return self._descent.wave

    def forget(self, items=None):
        self._descent.forget(items)

    def leave(self):
        return self._descent.best()


METHOD = Step(
    name="ad_refine",
    summary="Gradient refinement of the pixels (Adam): amplitude or Poisson misfit, total variation on request",
    reference="Chan, Nashed, Kandel et al., Appl. Phys. Rev. 8, 021407 (2021), doi:10.1063/5.0031486 (the refinement); "
    "Rudin, Osher, Fatemi, Physica D 60, 259 (1992), doi:10.1016/0167-2789(92)90242-F (total variation)",
    parameters=AdRefineParameters,
    begin=AdRefineRun,
    refuses=("shrink_wrap",),
    fits=("coherence.fit",),
    converged_estimate=True,
)
