"""Linear least squares beside a strong known reference, then a denoiser at the known level of the noise.

A strong static structure makes the problem linear, sqrt(I) = |D| + Re(Z conj(D)) / |D| with noise of standard deviation
1/2, so least squares finds the object in a few steps. What it leaves is white noise of sqrt(1/2) in units of
sqrt(photons), whatever the dose: a task for the best denoiser there is.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from cdipipe.phasing.registry import LIGHT, Parameters, Step
from cdipipe.phasing.steps import StepRun
from cdipipe.tunable import Tune


class ReferenceLsqParameters(Parameters):
    cg_iterations: int = Field(8, ge=1, description="conjugate-gradient steps of each linear problem")
    relinearisations: int = Field(
        4, ge=0, description="Gauss-Newton: solve again around the object found, at most so often; ends when settled"
    )
    likelihood: Literal["amplitude", "poisson"] = Field(
        "amplitude",
        description="amplitude: least squares of square roots; poisson: Fisher scoring, for very few photons",
    )
    denoiser: Literal["none", "tv", "nlm", "block_matching", "learned", "mean"] = Field(
        "mean",
        description="at the level of the noise: total variation, non-local means, block matching with collaborative "
        "filtering, a trained network, the mean of the last two, or none",
    )
    checkpoint: str | None = Field(
        None,
        description="file that `cdipipe train denoiser` wrote (also --checkpoint), for learned and mean; not given: "
        "that of the package",
    )
    checkpoint_of: ClassVar[str] = "denoiser"
    noise_factor: Annotated[float, Tune(0.6, 1.6, log=True)] = Field(
        1.0, gt=0, le=10, description="factor on the level of the noise given to the denoiser"
    )
    plug_and_play: int = Field(
        0,
        ge=0,
        description="rounds of data and denoiser in turn after the first; worth it where masks or a weak "
        "reference leave noise that is not white",
    )

    def brief(self) -> str:
        """The step in a few words, for summaries."""
        rounds = f", {self.plug_and_play} plug-and-play rounds" if self.plug_and_play else ""
        return f"{self.likelihood} least squares + denoiser {self.denoiser}{rounds}"


class ReferenceLsqRun(StepRun):
    """Fit, measure the noise, denoise: for each support of the batch by itself, in one go."""

    def iterate(self):
        import torch

        from cdipipe.methods.reference_lsq.referenced import reconstruct_beside_reference

        state, problem = self.state, self.problem
        found = [
            reconstruct_beside_reference(problem, support, self.parameters, seed)
            for support, seed in zip(state.support, state.seeds, strict=True)
        ]
        state.exit_wave = problem.project_object(torch.stack(found), state.support)
        _, r_factor = problem.impose_modulus(state.exit_wave.clone())
        yield r_factor


METHOD = Step(
    name="reference_lsq",
    summary="Linear least squares beside a strong known static region, then a denoiser at the known noise",
    reference="Pham et al., Opt. Express 27, 2792 (2019), doi:10.1364/OE.27.002792 (the baseline it is to beat); "
    "Dabov et al., IEEE Trans. Image Process. 16, 2080 (2007), doi:10.1109/TIP.2007.901238 (block matching)",
    parameters=ReferenceLsqParameters,
    begin=ReferenceLsqRun,
    needs=("static_region",),
    refuses=(
        "shrink_wrap",
        "stop_below",
        "average_last",
        "closing_er",
        "start_support",
        "start object",
        "use_static_region",
        *LIGHT,
    ),
    converged_estimate=True,
)
