"""A guided population of HIO runs.

Many starts are phased; then, generation after generation, every run is averaged with the best one and phased again,
and the better half of old and new survives. The Poisson likelihood of the measured counts decides who is best. Several
populations from different starts guard against one that went wrong as a whole. The best of each is refined on its
pixels with the Poisson likelihood and total variation; the one of highest likelihood is the result.

Where the pattern is complete, the runs work on its cropped autocorrelation: the same object pixels, the same photons,
on as few detector pixels as the object's extent needs.
"""

from __future__ import annotations

import threading
from typing import Annotated

from pydantic import Field

from cdipipe.phasing.registry import Parameters, Step
from cdipipe.phasing.steps import StepRun
from cdipipe.tunable import Tune


class GuidedParameters(Parameters):
    starts: int = Field(16, ge=2, le=10_000, description="random starts of a population, and its size afterwards")
    populations: int = Field(3, ge=1, le=100, description="populations from different starts; the best one wins")
    iterations: int = Field(800, ge=1, description="HIO iterations of every start")
    generations: int = Field(3, ge=0, le=100, description="guided generations")
    generation_iterations: int = Field(80, ge=1, description="HIO iterations of every guided generation")
    beta: Annotated[float, Tune(0.6, 1.0)] = Field(0.9, gt=0, le=2, description="feedback of HIO")
    er_every: int = Field(0, ge=0, description="every n-th iteration is one of error reduction; 0: never")
    crop: bool = Field(True, description="work on the cropped autocorrelation where the pattern is complete")
    crop_margin: float = Field(1.2, ge=1, le=4, description="factor on the least side that the object's extent needs")
    guided_threshold: Annotated[float, Tune(0.1, 0.3)] = Field(
        0.2, gt=0, lt=1, description="a generation's first support: share of the maximum of the averaged object"
    )
    loose_level: Annotated[float, Tune(0.02, 0.15, log=True)] = Field(
        0.05, gt=0, lt=1, description="support of the refinement: where the final one, blurred by 1 px, exceeds this"
    )
    refine_iterations: int = Field(120, ge=0, description="Adam steps of the closing refinement; 0: none")
    refine_rate: float = Field(0.02, gt=0, le=1, description="first step, in units of the object's rms modulus")
    tv_weight: Annotated[float, Tune(0.3, 3.0, log=True)] = Field(
        1.0, ge=0, description="total variation of the refinement, in sqrt(photons)"
    )

    @property
    def planned(self) -> int:
        runs = self.iterations + self.generations * self.generation_iterations
        return self.populations * runs + self.refine_iterations


class GuidedRun(StepRun):
    """One guided search for each item of the batch, which are independent repetitions.

    Their populations run side by side, so the R-factors come in their order only once all is done.
    """

    def iterate(self):
        import torch

        from cdipipe.methods.guided.search import Search

        state = self.state
        ticks = Ticks(self.tick, len(state.exit_wave))
        found = [Search(self, item, ticks).run() for item in range(len(state.exit_wave))]
        waves, supports, traces = (torch.stack(part) for part in zip(*found, strict=True))
        state.exit_wave, state.support = waves, supports
        yield from traces.unbind(1)


class Ticks:
    """Counts iterations of several searches at once, from several threads; so many of them are one of the step."""

    def __init__(self, tick, searches: int):
        self._tick, self._searches, self._count, self._lock = tick, searches, 0, threading.Lock()

    def __call__(self):
        with self._lock:
            self._count += 1
            if self._count % self._searches == 0:
                self._tick()


METHOD = Step(
    name="guided",
    summary="Guided population of HIO runs, chosen by Poisson likelihood, closing refinement with total variation",
    reference="Chen, Miao, Wang, Lee, Phys. Rev. B 76, 064113 (2007), doi:10.1103/PhysRevB.76.064113 (guided HIO)",
    parameters=GuidedParameters,
    begin=GuidedRun,
    refuses=("stop_below", "average_last"),
    by_itself=("shrink_wrap",),
    converged_estimate=True,
)
