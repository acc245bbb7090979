"""HIO beside a known static region that is enforced strictly.

This baseline is not one number: without a closing block of error reduction it gets worse with every further iteration,
and averages of iterates or of restarts are better than each of them. So the whole recipe is part of the summary.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from cdipipe.methods import er, hio
from cdipipe.phasing.registry import IterativeParameters, Update
from cdipipe.tunable import Tune


class HioStaticParameters(IterativeParameters):
    iterations: int = Field(350, ge=1, description="iterations of this step, those of the closing block among them")
    er_iterations: int = Field(
        50, ge=0, description="closing block: so many of the iterations, at the end, are error reduction; 0: none"
    )
    beta: Annotated[float, Tune(0.5, 1.0)] = Field(
        0.9, gt=0, le=2, description="feedback on pixels that violate the constraint; useful 0.5 to 1"
    )

    @model_validator(mode="after")
    def _block_fits(self):
        if self.er_iterations > self.iterations:
            raise ValueError(f"er_iterations {self.er_iterations} is more than iterations {self.iterations}")
        return self

    def brief(self) -> str:
        """The step in a few words, for summaries."""
        return f"{self.iterations - self.er_iterations} HIO (beta {self.beta:g}) + {self.er_iterations} ER"


def update(exit_wave, problem, support, parameters, iteration):
    """HIO on the sample, zero where the static structure stands: there the sum of both is the static region itself."""
    if kind(parameters, iteration) == "er":
        return er.update(exit_wave, problem, support, parameters, iteration)
    exit_wave, projected, r_factor = hio.update(exit_wave, problem, support, _plain_hio(parameters), iteration)
    exit_wave.masked_fill_(problem.static_support, 0)
    return exit_wave, projected, r_factor


def kind(parameters, iteration):
    """``hio``, in the closing block ``er``."""
    return "er" if iteration >= parameters.iterations - parameters.er_iterations else "hio"


def _plain_hio(parameters):
    return hio.HioParameters.model_construct(beta=parameters.beta, er_every=0)


METHOD = Update(
    name="hio_static",
    summary="HIO beside a known static region, closed by error reduction",
    reference="Manekar et al., LoDIP, arXiv:2402.17745 (HIO-stat); "
    "Fienup, Appl. Opt. 21, 2758 (1982), doi:10.1364/AO.21.002758",
    parameters=HioStaticParameters,
    update=update,
    kind=kind,
    needs=("static_region",),
    refuses=("shrink_wrap", "start_support", "use_static_region"),
    converged_estimate=True,
)
