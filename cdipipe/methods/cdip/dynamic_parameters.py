"""What CDIP takes for a movie beyond what it takes for a single pattern; imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cdipipe.phasing.registry import Parameters


class MovieParameters(Parameters):
    output: Literal["isolated", "refractive"] | None = Field(
        None, description="as output above; not given: refractive where the beam is known, else as above"
    )
    channels: int = Field(32, ge=1, le=256, description="features of each plane: how much may happen in the movie")
    fusion: Literal["pairs", "product", "concatenation"] = Field(
        "pairs", description="how the six planes meet: xy zt | xz yt | yz xt, the product of all, or side by side"
    )
    depth: int = Field(1, ge=1, le=64, description="cells along z that are summed to the exit wave")
    time_cells: float = Field(1.0, gt=0, le=4, description="cells of the planes along time, per frame")
    frames_per_step: int = Field(
        1, ge=1, le=4096, description="frames of a step, drawn at random; memory grows with it"
    )
    plane_rate: float = Field(5e-3, gt=0, description="learning rate of the planes that all frames share")
    network_rate: float = Field(2e-3, gt=0, description="learning rate of the layers, which all frames share")
    time_rate: float = Field(
        0.1, gt=0, description="learning rate of the planes with time, whose cells move only when their frame is drawn"
    )
    tv_start: float = Field(
        20.0, ge=0, description="weight of total variation in the first pass, in the units of tv, if that is more"
    )
    tv_time: float = Field(
        0.0, ge=0, description="weight of the total variation from frame to frame, in the units of tv"
    )
    imitation: int = Field(20, ge=1, description="passes in which the field learns a movie that it starts with")
    field_file: str | None = Field(
        None, description="file in which the fitted field is kept; it can be rendered at any frame rate"
    )
