"""A static region of known place and unknown content is estimated; the steps that follow take it as known.

It needs no more than one pattern (LoDIP's case); the frames of a movie share one static structure. The recipe of the
result tells what was found.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.methods.static_estimate.hops import hop_lengths
from cdipipe.phasing.registry import IterativeParameters, Preparation


class StaticEstimateParameters(IterativeParameters):
    iterations: int = Field(300, ge=1, description="HIO iterations of a start, those of its closing block among them")
    er_iterations: int = Field(50, ge=0, description="closing block: so many of the iterations are error reduction")
    beta: float = Field(0.9, gt=0, le=2, description="feedback on pixels that violate the constraint")
    tries: int = Field(3, ge=1, le=1000, description="starts at most; the first that is accepted ends the search")
    hops: int = Field(
        40,
        ge=0,
        le=1000,
        description="a start that is not accepted is left by 35 to 175 iterations from its best, in turn as it is and "
        "with frequencies of its twin, and refined again, so many times at most",
    )
    tolerance: float = Field(
        0.05,
        gt=0,
        description="accepted is a misfit, in units of that of noise alone, up to this much above 1 - 2 n / N of "
        "n real unknowns and N pixels",
    )

    prior: Literal["none", "tv", "nlm", "block_matching", "learned", "mean"] = Field(
        "learned",
        description="denoiser whose image of the samples helps to tell them from the static structure, see "
        "reference_lsq; none: counts alone",
    )
    prior_rounds: int = Field(2, ge=1, le=100, description="rounds of the denoiser and of the static structure")

    @model_validator(mode="after")
    def _block_fits(self):
        if self.er_iterations > self.iterations:
            raise ValueError(f"er_iterations {self.er_iterations} is more than iterations {self.iterations}")
        return self

    @property
    def planned(self) -> int:
        return (self.iterations + sum(hop_lengths(self.hops))) * self.tries

    def brief(self) -> str:
        """The step in a few words, for summaries."""
        return f"static region estimated ({self.iterations} iterations, up to {self.tries} starts of {self.hops} hops)"


def prepare(problems, start, parameters, recipe, seed, watch):
    """One static structure for all the problems, and the samples beside it; arrays centred."""
    import numpy as np

    from cdipipe.methods.static_estimate.estimate import estimate_static
    from cdipipe.optics import fourier
    from cdipipe.phasing.preparation import Prepared

    ndim = problems[0].ndim
    found = estimate_static(problems, start, parameters, recipe.start_support, seed, watch.tick)
    static, samples = (fourier.to_centre(a, ndim).cpu().numpy() for a in (found.static, found.samples))
    report = {"misfit_ratio": found.ratio, "expected": found.expected, "tries": found.tries}
    report |= {"hops": found.hops, "accepted": found.accepted}
    return Prepared(static.astype(np.complex64), samples.astype(np.complex64), report)


METHOD = Preparation(
    name="static_estimate",
    summary="First step where only the place of the static region is known: estimates its content",
    reference="Manekar et al., LoDIP, arXiv:2402.17745 (unknown static region); "
    "Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758 (HIO)",
    parameters=StaticEstimateParameters,
    prepare=prepare,
    needs=("static_support",),
    completes=("static_region",),
)
