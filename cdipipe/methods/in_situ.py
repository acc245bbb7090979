"""In situ CDI: many frames of a changing sample share one static structure, which is estimated from all of them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.phasing.registry import LIGHT, IterativeParameters, Joint

FRAMES_JOINED = 6
"""An unknown static structure is first estimated from so many frames at most, spread over the movie."""


class InSituParameters(IterativeParameters):
    iterations: int = Field(300, ge=1, description="iterations, those of the closing block among them")
    er_iterations: int = Field(50, ge=0, description="closing block: so many of the iterations are error reduction")
    beta: float = Field(0.9, gt=0, le=2, description="feedback on pixels of the sample that violate the constraint")
    static: Literal["estimate", "known"] = Field(
        "estimate",
        description="estimate: from all frames together, the content being unknown; known: as the measurement tells",
    )
    hops: int = Field(
        24,
        ge=0,
        le=1000,
        description="an unknown content is first estimated from up to 6 frames together, as static_estimate does, with "
        "so many short blocks from the best so far for each of its starts, at most; 0: random start",
    )

    @model_validator(mode="after")
    def _block_fits(self):
        if self.er_iterations > self.iterations:
            raise ValueError(f"er_iterations {self.er_iterations} is more than iterations {self.iterations}")
        return self

    def brief(self) -> str:
        """The step in a few words, for summaries."""
        block = f"{self.iterations - self.er_iterations} joint (beta {self.beta:g}) + {self.er_iterations} ER"
        return f"{block}, static region {'known' if self.static == 'known' else 'estimated'}"


def run(problems, start, parameters, recipe, seed, watch):
    """Project every frame, average the static structure over the frames, put it back, HIO on the rest.

    With P_t = P_M u_t the estimate of the static structure is sum_t w_t P_t / sum_t w_t with weights w_t, the photons
    of a frame: the exact projection onto the frames that agree there (weighted).
    """
    import torch

    from cdipipe.methods.static_estimate.movie import JointFrames
    from cdipipe.phasing.loop import State
    from cdipipe.phasing.stack import StackResult

    movie = JointFrames(
        problems, start, seed, recipe.start_support, _known_static(problems[0], parameters), parameters.beta
    )
    held = False
    if movie.static_region is None and parameters.hops and start.object is None:
        movie.hold(_estimate_from_frames(problems, start, parameters, recipe, seed, watch))
        held = True
    # to the watch the movie is one start whose R-factor is that of all frames together
    state = State(movie.waves[:1], movie.supports[:1], torch.full((1, parameters.iterations), torch.nan))
    for iteration in range(parameters.iterations):
        closing = iteration >= parameters.iterations - parameters.er_iterations
        if held and closing:
            # HIO with a free static structure may leave the right place again; error reduction only refines it
            movie.static_region, held = None, False
        state.record(torch.tensor([movie.iterate(error_reduction=closing)]))
        watch.tell(state)
    return StackResult(*movie.result(), state.error_trace[0].numpy())


def _estimate_from_frames(problems, start, parameters, recipe, seed, watch):
    """The static structure that some frames share: they differ in their samples, so a wrong place fits not them all."""
    import numpy as np

    from cdipipe.methods.static_estimate import StaticEstimateParameters
    from cdipipe.methods.static_estimate.estimate import estimate_static
    from cdipipe.phasing.stack import Start

    settings = StaticEstimateParameters(beta=parameters.beta, hops=parameters.hops, prior="none")
    count = min(len(problems), FRAMES_JOINED)
    chosen = np.linspace(0, len(problems) - 1, count).round().astype(int)
    support = start.support
    if support is not None and support.ndim > problems[0].ndim:
        support = support[chosen]
    some = [problems[index] for index in chosen]
    return estimate_static(some, Start(support=support), settings, recipe.start_support, seed, watch.check).static


def _known_static(problem, parameters):
    if parameters.static == "estimate":
        return None
    if problem.static_content is None:
        raise InputError(
            "in_situ.static: 'known', but the measurement does not tell the static region; take 'estimate'"
        )
    return problem.static_content


METHOD = Joint(
    name="in_situ",
    summary="In situ CDI: all frames of a movie jointly, with the static region that they share",
    reference="Lo et al., In situ coherent diffractive imaging, Nat. Commun. 9, 1826 (2018), "
    "doi:10.1038/s41467-018-04259-9",
    parameters=InSituParameters,
    run=run,
    refuses=LIGHT,
    needs=("movie", "static_support"),
    uses_static_region=False,
)
