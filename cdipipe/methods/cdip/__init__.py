"""CDIP: an untrained neural field, fitted to one pattern (or one volume) through the forward model.

    least  D(I_hat, I) + tv * TV(psi),      psi = projection of the field along z, I_hat = photons of psi

over the field's planes and layers with Adam, see ``cdipipe.networks.fields.planes`` and ``model.py`` here. D is
the Poisson misfit or one of moduli. No support is needed: the field lives in a box, found from the autocorrelation,
that grows from a small centre (progressive anchoring).

A fit of this kind gets stuck like error reduction does. Three things help. Many random fields are fitted as one batch
and the worse half is dropped again and again. TV begins strong, whatever the photons, and falls to what their noise
asks for: it smooths over the local minima, and finds weakly scattering phases almost always. And other fields begin as
imitations of what a guided population of hybrid input-output runs finds, which is what strong phases need. The lowest
sum of misfit and TV decides.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from cdipipe.methods.cdip.dynamic_parameters import MovieParameters
from cdipipe.phasing.registry import FITS, Joint, Parameters, Step
from cdipipe.tunable import Tune


class CdipParameters(Parameters):
    iterations: int = Field(300, ge=1, description="steps of Adam")
    output: Literal["isolated", "refractive"] = Field(
        "isolated",
        description="what the field gives: amplitude and phase of an isolated object, or delta and beta of a "
        "transmission that is one outside the box",
    )
    head: Literal["sine", "leaky_relu"] = Field("sine", description="activation of the layers after the planes")
    depth: int = Field(1, ge=1, le=64, description="cells along z that are summed to the exit wave (2D patterns)")
    channels: int = Field(16, ge=1, le=256, description="features of each plane")
    hidden: int = Field(32, ge=2, le=512, description="width of the layers")
    layers: int = Field(2, ge=1, le=8, description="hidden layers")
    omega: Annotated[float, Tune(2.5, 10.0, log=True)] = Field(5.0, gt=0, description="frequency of the sine layers")
    loss: Literal["amplitude_mse", "amplitude_mae", "poisson"] | None = Field(
        None,
        description="misfit of the pattern for random fields until the closing steps; not given: poisson for movies in "
        "a known probe, else amplitude_mse; always poisson for a field that imitated a start",
    )
    closing: float = Field(0.4, ge=0, le=1, description="share of the steps, at the end, with the Poisson misfit")
    tv: Annotated[float, Tune(0.5, 3.0, log=True)] = Field(
        1.4, ge=0, description="weight of the exit wave's total variation, in units of the photon noise of a pixel"
    )
    tv_start: Annotated[float, Tune(0.5, 4.0, log=True)] = Field(
        1.6,
        ge=0,
        description="weight at the first step of random fields, in units of the object's modulus; falls to tv until "
        "the closing steps",
    )
    perceptual: float = Field(
        0.0, ge=0, description="weight of the distance of both patterns' logarithms in a photograph network's features"
    )
    perceptual_weights: str | None = Field(
        None,
        description="file with that network's weights, see `cdipipe fetch vgg19`; needed where its weight is not 0",
    )
    plane_rate: float = Field(2e-2, gt=0, description="learning rate of the planes")
    network_rate: float = Field(1e-2, gt=0, description="learning rate of the layers")
    warm_rate: float = Field(0.3, gt=0, description="factor on the learning rates of a field that imitated a start")
    box_px: int | None = Field(None, ge=4, description="side of the box in pixels; not given: found from the data")
    margin: float = Field(1.3, gt=0.5, le=4, description="box side over the extent that the autocorrelation tells")
    anchor_px: int = Field(10, ge=2, description="side of the centre in which a random field begins, pixels")
    anchoring: float = Field(0.5, ge=0, lt=1, description="share of the steps in which the box grows; 0: full at once")
    shrink_every: int = Field(
        0, ge=0, description="steps between updates of a support from the field's own output; 0: the whole box"
    )
    confine: bool = Field(
        True,
        description="leave random fields in the closing steps only where the object was found, so that none wins by "
        "describing noise around it",
    )
    start: Literal["both", "random", "hio", "guided"] = Field(
        "both",
        description="first object where none is given: random fields, the best of short HIO runs, a guided population "
        "of them, or both: random fields, then guided, and what fits better",
    )
    population: int = Field(8, ge=1, le=4096, description="HIO runs, or random fields, that compete for each start")
    survivors: int = Field(1, ge=1, description="fields of a start that are fitted to the end")
    guided_starts: int = Field(16, ge=2, le=10_000, description="starts of a guided population, see `guided`")
    hio_iterations: int = Field(250, ge=10, description="iterations of each HIO run")
    support_margin_px: int = Field(
        1, ge=0, description="pixels around the object that a start or a random field found; the field may use them"
    )
    imitation: int = Field(120, ge=1, description="steps in which a field learns the object that it starts with")
    movie: MovieParameters = Field(
        MovieParameters(), description="what a movie takes beyond that; its iterations are passes over all frames"
    )

    @model_validator(mode="after")
    def _consistent(self):
        if self.perceptual and self.perceptual_weights is None:
            raise ValueError("perceptual needs perceptual_weights, the file of a VGG-19; see `cdipipe fetch vgg19`")
        return self

    @property
    def refuses(self) -> tuple[str, ...]:
        """A transmission takes no constraint, and random fields no first support."""
        return ("constraint",) * (self.output == "refractive") + ("start_support",) * (self.start == "random")

    @property
    def planned(self) -> int:
        """Steps in all: twice as many where fields begin in two ways."""
        return self.iterations * (1 + (self.start == "both"))


def begin(*arguments):
    """The step on its way; imports torch."""
    from cdipipe.methods.cdip.course import FieldRun

    return FieldRun(*arguments)


def begin_movie(*arguments):
    """The joint step of a movie on its way; imports torch."""
    from cdipipe.methods.cdip.dynamic import MovieRun

    return MovieRun(*arguments)


WHAT: dict = {
    "name": "cdip",
    "summary": "Untrained neural field of three planes, fitted through the forward model (CDIP)",
    "reference": "Hu, Yao, Zhang, Villanueva-Perez, Constraint-free coherent diffraction imaging via physics-guided "
    "neural fields; sine layers arXiv:2006.09661; planes doi:10.1109/CVPR52729.2023.00021",
    "parameters": CdipParameters,
    "fits": FITS,
    "converged_estimate": True,
}
METHOD = Step(
    **WHAT,
    begin=begin,
    by_itself=FITS,
    refuses=("shrink_wrap", "stop_below", "average_last"),
    on_movies=Joint(**WHAT, begin=begin_movie, refuses=("start_support", "stop_below", "average_last")),
)
