"""Generalised proximal smoothing: a primal-dual method with a soft modulus constraint and a smoothed dual variable."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdipipe.phasing.registry import LIGHT, IterativeParameters, Step
from cdipipe.phasing.schedule import FILTER_WIDTHS, cut_into_blocks
from cdipipe.tunable import Tune

SCHEDULES = {
    "dpr": {"sigma": (0.01, 0.1, 1.0), "sigma_from": (0.0, 0.4, 0.7), "alpha": FILTER_WIDTHS},
    "refinement": {"sigma": (0.1, 1.0), "sigma_from": (0.0, 0.4), "alpha": FILTER_WIDTHS[::2]},
}
"""The two schedules of the DPR paper (Lee et al., deep-learning real-time phase retrieval, Methods 4.5), for arrays of
any size: 1000 iterations from random phases, and 50 iterations from a given object."""


class GpsParameters(IterativeParameters):
    iterations: int = Field(400, ge=1, description="iterations of this step; not given with schedule refinement: 50")
    schedule: Literal["dpr", "refinement"] = Field(
        "dpr",
        description="preset of sigma and alpha, scaled to the iterations; refinement: for a start that is good already",
    )
    variant: Literal["R", "F"] = Field(
        "R", description="R: y is smoothed in real space; F: in Fourier space, by a window of width_px on the object"
    )
    sigma: tuple[float, ...] | None = Field(
        None, description="tolerance of the modulus, stage after stage, instead of the preset's; 0: none"
    )
    sigma_from: tuple[float, ...] | None = Field(
        None, description="share of the iterations at which each sigma begins, first 0; not given: equal stages"
    )
    alpha: tuple[float, ...] | None = Field(
        None,
        description="R: width of the Fourier filter over the array's size, equal stages, instead of the preset's 2 to "
        "0.2; it blurs y by sqrt(dual_step) / (2 pi alpha) px",
    )
    width_px: tuple[float, ...] | None = Field(
        None, description="F: standard deviation of the window on the object in pixels, equal stages"
    )
    primal_step: float = Field(1.0, gt=0, description="t, on the detector")
    dual_step: Annotated[float, Tune(0.5, 1.0)] = Field(0.9, gt=0, description="s, on the object; s t is at most 1")
    check_every: int = Field(
        10, ge=1, description="iterations between comparisons with the best so far; and at the end of every stage"
    )

    settle: Annotated[float, Tune(0.1, 0.5)] = Field(
        0.2, ge=0, le=1, description="share of the iterations, at the end, in which a support that moved stays"
    )

    @model_validator(mode="before")
    @classmethod
    def _iterations_of_the_preset(cls, data):
        if isinstance(data, dict) and data.get("schedule") == "refinement":
            return {"iterations": 50, **data}
        return data

    @model_validator(mode="after")
    def _consistent(self):
        if self.primal_step * self.dual_step > 1 + 1e-9:
            raise ValueError("primal_step times dual_step must be at most 1")
        if self.variant == "F" and self.width_px is None:
            raise ValueError("variant F needs width_px, for example [64, 32]")
        unused = "alpha" if self.variant == "F" else "width_px"
        if getattr(self, unused) is not None:
            raise ValueError(f"{unused} means nothing in variant {self.variant}")
        if self.sigma is not None and (not self.sigma or min(self.sigma) < 0):
            raise ValueError("sigma takes one or more numbers from 0")
        for name in ("alpha", "width_px"):
            values = getattr(self, name)
            if values is not None and (not values or min(values) <= 0):
                raise ValueError(f"{name} takes one or more numbers above 0")
        return self._check_starts()

    def _check_starts(self):
        starts, count = self.sigma_from, len(self.sigma or SCHEDULES[self.schedule]["sigma"])
        if starts is None:
            return self
        ordered = len(starts) == count and starts[0] == 0 and starts[-1] < 1
        if not ordered or any(b <= a for a, b in itertools.pairwise(starts)):
            raise ValueError(f"sigma_from takes {count} growing shares, the first 0, all below 1")
        return self

    def blocks(self):
        """List of Block with the values (sigma, filter width)."""
        preset = SCHEDULES[self.schedule]
        starts = self.sigma_from if self.sigma or self.sigma_from else preset["sigma_from"]
        widths = self.width_px if self.variant == "F" else self.alpha or preset["alpha"]
        return cut_into_blocks(self.iterations, (self.sigma or preset["sigma"], starts), (widths, None))


def begin(*arguments):
    """The step on its way; imports torch."""
    from cdipipe.methods.gps.run import GpsRun

    return GpsRun(*arguments)


METHOD = Step(
    name="gps",
    summary="Generalised proximal smoothing: soft modulus constraint, smoothed dual, for noisy and low-dose patterns",
    reference="Pham, Yin, Rana, Osher & Miao, Opt. Express 27, 2792 (2019), doi:10.1364/OE.27.002792",
    parameters=GpsParameters,
    begin=begin,
    refuses=LIGHT,
    mixes_patterns=True,
    converged_estimate=True,
)
