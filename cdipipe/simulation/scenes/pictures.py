"""Pictures that fill the array, for denoisers: photographs side by side, crops of larger ones, cells, films, leaves.

Nothing lies around them, so their patterns tell little: they are what a denoiser learns from, not objects to phase.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.simulation.registry import Sample, Scene, SceneParameters
from cdipipe.simulation.sources.banks import DensitySource, density_bank
from cdipipe.simulation.sources.images import Bank, Split, files_of

MOSAICS, CROPS, MADE = 0.55, 0.2, 0.05
"""Shares of mosaics, of crops of photographs (where there are some), and of cells and films; the rest are leaves."""
WHOLE = 0.15
"""Share of the mosaics that are one picture, enlarged."""
LEAST_CROP_PX = 90


class PictureParameters(SceneParameters):
    size: int = Field(64, ge=16, le=16384, description="array pixels per axis; an even number")
    images: DensitySource = Field(
        "photographs",
        description="small pictures, four of which make a mosaic: photographs (bundled), textures (made by code), "
        "cifar100 (cdipipe fetch ...); or images.npz=FILE",
    )
    photographs: tuple[str, ...] = Field(
        (), description="larger pictures of which crops are drawn: png, jpg or tif files"
    )
    split: Split = Field("train", description="train, test or all: which of the small pictures")
    count: int = Field(1, ge=1, description="independent patterns; more than one makes a stack of shots")

    @model_validator(mode="after")
    def _possible(self):
        if self.size % 2:
            raise ValueError(f"size {self.size}: an even number is needed, for mosaics of four")
        return self

    def input_files(self) -> list[Path]:
        return [*files_of(self.images), *(Path(name).expanduser() for name in self.photographs)]


def build(parameters: PictureParameters, rng: np.random.Generator) -> Sample:
    """One picture, at least 0 and at most 1."""
    size, kind = parameters.size, rng.random()
    crops = CROPS if parameters.photographs else 0.0
    if kind < MOSAICS:
        picture = _mosaic(density_bank(parameters.images, parameters.split), size, rng)
    elif kind < MOSAICS + crops:
        picture = _crop(parameters.photographs[rng.integers(len(parameters.photographs))], size, rng)
    elif kind < MOSAICS + crops + MADE:
        picture = _made(size, rng)
    else:
        from cdipipe.simulation.sources.leaves import dead_leaves

        picture = dead_leaves(size, rng)
    largest = float(picture.max())
    values = picture / largest if largest > 0 else np.ones_like(picture, float)
    return Sample(values.astype(np.complex128), np.ones(values.shape, bool))


def _mosaic(bank: Bank, size: int, rng: np.random.Generator) -> np.ndarray:
    """Four small pictures side by side, or one enlarged."""
    from cdipipe.simulation.sources.photographs import resized

    if rng.random() < WHOLE:
        return resized(bank.draw(rng), (size, size))
    four = [resized(bank.draw(rng), (size // 2, size // 2)) for _ in range(4)]
    return np.block([four[:2], four[2:]])


def _crop(name: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """A random square of a photograph, reduced."""
    from cdipipe.simulation.sources.photographs import read_photograph, resized

    image = read_photograph(name)
    shortest = min(image.shape)
    if shortest < size:
        raise InputError(f"scene pictures: {name} has {image.shape} pixels; at least {size} a side are needed")
    edge = int(rng.integers(min(max(LEAST_CROP_PX, size), shortest), shortest + 1))
    row, column = (int(rng.integers(n - edge + 1)) for n in image.shape)
    return resized(np.ascontiguousarray(image[row : row + edge, column : column + edge]), (size, size))


def _made(size: int, rng: np.random.Generator) -> np.ndarray:
    from cdipipe.simulation.sources.biological_cell import cell_thickness
    from cdipipe.simulation.sources.lacey import lacey_film

    return (cell_thickness if rng.random() < 0.5 else lacey_film)(size, rng)


SCENE = Scene(
    name="pictures",
    summary="Pictures that fill the array, for training denoisers; their patterns tell little",
    reference="dead leaves: Lee, Mumford, Huang, Int. J. Comput. Vis. 41, 35 (2001), doi:10.1023/A:1011109015675",
    parameters=PictureParameters,
    build=build,
    gives=lambda parameters: {"plane"},
)
