"""PID3Net: an untrained network, fitted to a movie through the forward model, draws a few frames at a time.

    O = network(sqrt I of a window of frames), 1 where no light falls;     O_r = O + steps towards the measured moduli
    least   D(sum_m |F P_m O_r|^2, I) + tv TV(O) + tv_refined TV(O_r)

over all weights with Adam, windows drawn at random; the movie itself is the only training data. D is the Poisson misfit
or that of moduli, TV runs along both axes and time. Then every frame is drawn once, in windows side by side. The weight
of TV(O_r) is fixed here: where it is fitted along with the rest it can only fall.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cdipipe.phasing.registry import LIGHT, IterativeParameters, Joint


class Pid3NetParameters(IterativeParameters):
    iterations: int = Field(20, ge=1, description="passes: in each, as many windows as fill the movie, drawn at random")
    window: int = Field(5, ge=1, le=64, description="frames that the network sees together")
    windows: int = Field(4, ge=1, le=256, description="windows of a step of Adam; memory grows with it")
    width: int = Field(8, ge=1, le=64, description="features of the network's finest level; each below has twice that")
    levels: int = Field(4, ge=1, le=6, description="times that the encoder halves the array")
    refinement: Literal["learned", "gradient", "none"] = Field(
        "learned",
        description="steps towards the measured moduli after the decoders: along what temporal blocks make of the "
        "gradient, along the gradient, or none",
    )
    refinement_steps: int = Field(5, ge=1, le=50, description="how many of them")
    refinement_width: int = Field(
        8, ge=1, le=64, description="features of the blocks of learned steps; 32 as published, at 16 times the price"
    )
    loss: Literal["poisson", "amplitude"] = Field(
        "poisson", description="misfit: Poisson likelihood, or squared difference of moduli where there are counts"
    )
    count_threshold: float = Field(0.0, ge=0, description="counts up to this are taken for 0, photons per pixel")
    tv: float = Field(
        1.0, ge=0, description="weight of the first output's variation, in units of the photon noise of a pixel"
    )
    tv_refined: float = Field(1.0, ge=0, description="the same of the refined output")
    rate: float = Field(1e-3, gt=0, description="learning rate of Adam; falls to a fifth along a cosine")
    weight_decay: float = Field(1e-5, ge=0, description="weight of the sum of the squared weights of all convolutions")
    illumination: float = Field(0.01, gt=0, lt=1, description="the object is 1 where the light is below this share")


def begin(*arguments):
    """The step on its way; imports torch."""
    from cdipipe.methods.pid3net.fit import NetworkRun

    return NetworkRun(*arguments)


METHOD = Joint(
    name="pid3net",
    summary="Untrained network of a few frames together, with steps towards the moduli built in (PID3Net)",
    reference="Vu et al., PID3Net: a deep learning approach for single-shot coherent X-ray diffraction imaging of "
    "dynamic phenomena, npj Comput. Mater. 11, 66 (2025), doi:10.1038/s41524-025-01549-y",
    parameters=Pid3NetParameters,
    begin=begin,
    needs=("movie", "probe_modes"),
    refuses=("constraint", "start_support", "start object", *LIGHT),
    uses_static_region=False,
    converged_estimate=True,
)
