"""A guided population of HIO runs.

Many starts are phased; then, generation after generation, every run is averaged with the best one and phased again,
and the better half of old and new survives. The Poisson likelihood of the measured counts decides who is best. Several
populations from different starts guard against one that went wrong as a whole. The best of each is refined on its
pixels with the Poisson likelihood and total variation; the one of highest likelihood is the result.

Where the pattern is complete, the runs work on its cropped autocorrelation: the same object pixels, the same photons,
on as few detector pixels as the object's extent needs.
"""

from __future__ import annotations

from pydantic import Field

from cdipipe.phasing.registry import Parameters, Step


class GuidedParameters(Parameters):
    starts: int = Field(16, ge=2, le=10_000, description="random starts of a population, and its size afterwards")
    populations: int = Field(3, ge=1, le=100, description="populations from different starts; the best one wins")
    iterations: int = Field(800, ge=1, description="HIO iterations of every start")
    generations: int = Field(3, ge=0, le=100, description="guided generations")
    generation_iterations: int = Field(80, ge=1, description="HIO iterations of every guided generation")
    beta: float = Field(0.9, gt=0, le=2, description="feedback of HIO")
    er_every: int = Field(0, ge=0, description="every n-th iteration is one of error reduction; 0: never")
    crop: bool = Field(True, description="work on the cropped autocorrelation where the pattern is complete")
    crop_margin: float = Field(1.2, ge=1, le=4, description="factor on the least side that the object's extent needs")
    guided_threshold: float = Field(
        0.2, gt=0, lt=1, description="a generation's first support: share of the maximum of the averaged object"
    )
    loose_level: float = Field(
        0.05, gt=0, lt=1, description="support of the refinement: where the final one, blurred by 1 px, exceeds this"
    )
    refine_iterations: int = Field(120, ge=0, description="Adam steps of the closing refinement; 0: none")
    refine_rate: float = Field(0.02, gt=0, le=1, description="first step, in units of the object's rms modulus")
    tv_weight: float = Field(1.0, ge=0, description="total variation of the refinement, in sqrt(photons)")

    @property
    def planned(self) -> int:
        runs = self.iterations + self.generations * self.generation_iterations
        return self.populations * runs + self.refine_iterations


def run(state, problem, parameters, recipe, watch):
    """One guided search for each item of the batch, which are independent repetitions."""
    import torch

    from cdipipe.methods.guided.search import search

    results, traces = [], []
    for item in range(len(state.exit_wave)):
        results.append(search(state, item, problem, parameters, recipe, watch, traces))
    state.exit_wave = torch.stack([wave for wave, _ in results])
    state.support = torch.stack([support for _, support in results])
    for column in torch.stack(traces).unbind(1):
        state.record(column)
    return state


METHOD = Step(
    name="guided",
    summary="Guided population of HIO runs, chosen by Poisson likelihood, closing refinement with total variation",
    reference="Chen, Miao, Wang, Lee, Phys. Rev. B 76, 064113 (2007), doi:10.1103/PhysRevB.76.064113 (guided HIO)",
    parameters=GuidedParameters,
    run=run,
    refuses=("stop_below", "average_last"),
    converged_estimate=True,
)
