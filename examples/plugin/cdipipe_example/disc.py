"""A scene: a disc somewhere near the middle."""

import numpy as np
from pydantic import Field

from cdipipe.simulation.registry import Sample, Scene, SceneParameters


class DiscParameters(SceneParameters):
    radius_px: float = Field(8.0, gt=1, description="largest radius of the disc")


def build(parameters, rng):
    axis = np.arange(parameters.size) - parameters.size // 2
    row, column = rng.uniform(-2, 2, 2)
    radius = parameters.radius_px * rng.uniform(0.7, 1.0)
    inside = (axis[:, None] - row) ** 2 + (axis - column) ** 2 <= radius**2
    return Sample(inside.astype(complex), inside)


SCENE = Scene(name="disc", summary="A disc", reference="none", parameters=DiscParameters, build=build)
