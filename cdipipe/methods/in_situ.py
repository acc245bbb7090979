"""In situ CDI: many frames of a changing sample share one static structure, which is estimated from all of them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.phasing.registry import LIGHT, IterativeParameters, Joint
from cdipipe.phasing.steps import JointRun
from cdipipe.tunable import Tune

FRAMES_JOINED = 6
"""An unknown static structure is first estimated from so many frames at most, spread over the movie."""


class InSituParameters(IterativeParameters):
    iterations: int = Field(300, ge=1, description="iterations, those of the closing block among them")
    er_iterations: int = Field(50, ge=0, description="closing block: so many of the iterations are error reduction")
    beta: Annotated[float, Tune(0.5, 1.0)] = Field(
        0.9, gt=0, le=2, description="feedback on pixels of the sample that violate the constraint"
    )
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


class InSituRun(JointRun):
    """Project every frame, average the static structure over the frames, put it back, HIO on the rest.

    With P_t = P_M u_t the estimate of the static structure is sum_t w_t P_t / sum_t w_t with weights w_t, the photons
    of a frame: the exact projection onto the frames that agree there (weighted).
    """

    def iterate(self):
        from cdipipe.methods.static_estimate.movie import JointFrames

        own, known = self.parameters, _known_static(self.problems[0], self.parameters)
        self._movie = movie = JointFrames(
            self.problems, self.start, self.seed, self.recipe.start_support, known, own.beta
        )
        held = known is None and own.hops > 0 and self.start.object is None
        if held:
            movie.hold(_estimate_from_frames(self))
        for iteration in range(own.iterations):
            closing = iteration >= own.iterations - own.er_iterations
            if held and closing:
                # HIO with a free static structure may leave the right place again; error reduction only refines it
                movie.static_region, held = None, False
            yield movie.iterate(error_reduction=closing)

    def objects(self):
        return self._movie.objects()

    def supports(self):
        return self._movie.centred_supports()


def _estimate_from_frames(run):
    """The static structure that some frames share: they differ in their samples, so a wrong place fits not them all."""
    import numpy as np

    from cdipipe.methods.static_estimate import StaticEstimateParameters
    from cdipipe.methods.static_estimate.estimate import estimate_static
    from cdipipe.phasing.starts import Start

    problems, support, own = run.problems, run.start.support, run.parameters
    settings = StaticEstimateParameters(beta=own.beta, hops=own.hops, prior="none")
    count = min(len(problems), FRAMES_JOINED)
    chosen = np.linspace(0, len(problems) - 1, count).round().astype(int)
    if support is not None and support.ndim > problems[0].ndim:
        support = support[chosen]
    some, start = [problems[index] for index in chosen], Start(support=support)
    return estimate_static(some, start, settings, run.recipe.start_support, run.seed, run.watch.check).static


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
    begin=InSituRun,
    refuses=LIGHT,
    needs=("movie", "static_support"),
    uses_static_region=False,
)
