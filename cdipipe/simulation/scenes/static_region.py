"""LoDIP's simulated set: a photograph as the sample beside a photograph or a gold lacey film at a far higher dose."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Discriminator, Field, Tag

from cdipipe.errors import InputError
from cdipipe.simulation.low_dose.pair import LIGHT, Pair, expose_pair, gives
from cdipipe.simulation.low_dose.parameters import LowDoseParameters
from cdipipe.simulation.registry import Sample, Scene
from cdipipe.simulation.sources.images import NpzImages, files_of, kind_of_source

LEAST_MEAN = 0.2
"""Least mean of an image over its largest value; the photons on a pixel would be far off the common scale."""
ImageSource = Annotated[
    Annotated[Literal["photographs"], Tag("name")] | Annotated[NpzImages, Tag("NpzImages")],
    Discriminator(kind_of_source),
]


class StaticRegionParameters(LowDoseParameters):
    images: ImageSource = Field(
        "photographs", description="photographs: bundled with scikit-image; or images.npz=FILE images.key=NAME"
    )
    static: Literal["image", "lacey"] = Field(
        "image", description="static structure: image (as images), or lacey: gold film"
    )

    frame_shift_px: float = Field(
        1.0, ge=0, le=32, description="of a movie: how far the image moves in its window from frame to frame"
    )

    def input_files(self) -> list[Path]:
        return files_of(self.images)


def build(parameters: StaticRegionParameters, rng: np.random.Generator) -> Sample:
    """Sample and static structure, both drawn anew for every sample."""
    from cdipipe.simulation.sources.lacey import lacey_film

    if parameters.frames > 1:
        sample = _moving_image(parameters, rng).astype(np.complex128)
    else:
        sample = draw_image(parameters.images, parameters.sample_px, rng).astype(np.complex128)
    if parameters.static == "lacey":
        static = lacey_film(parameters.static_px, rng)
    else:
        static = draw_image(parameters.images, parameters.static_px, rng)
    if parameters.phase_range_rad > 0:
        moves = parameters.frames > 1
        phase = _moving_image(parameters, rng) if moves else draw_image(parameters.images, parameters.sample_px, rng)
        phase = (phase - phase.min()) / max(float(np.ptp(phase)), 1e-9) - 0.5
        sample *= np.exp(1j * parameters.phase_range_rad * phase)
    return expose_pair(parameters, Pair(sample, static))


def _moving_image(parameters: StaticRegionParameters, rng: np.random.Generator) -> np.ndarray:
    """(frames, side, side) float64, largest value 1: a window that moves across a larger image on a straight line."""
    from scipy.ndimage import shift

    side, path_px = parameters.sample_px, parameters.frame_shift_px * (parameters.frames - 1)
    angle = rng.uniform(0, np.pi / 2)
    image = draw_image(parameters.images, side + int(np.ceil(path_px)) + 1, rng)
    frames = np.empty((parameters.frames, side, side))
    for index in range(parameters.frames):
        way = parameters.frame_shift_px * index * np.array([np.sin(angle), np.cos(angle)])
        whole = np.floor(way).astype(int)
        window = image[whole[0] : whole[0] + side + 1, whole[1] : whole[1] + side + 1]
        frames[index] = shift(window, whole - way, order=1, mode="nearest")[:side, :side]
    return frames / frames.max()


def draw_image(source: ImageSource, side: int, rng: np.random.Generator) -> np.ndarray:
    """(side, side) float64, largest value 1: an image of a source; images that are mostly dark are drawn again."""
    from cdipipe.simulation.sources.images import of_npz
    from cdipipe.simulation.sources.photographs import crop_of_photograph, resized

    for _ in range(20):
        if isinstance(source, NpzImages):
            image = resized(of_npz(source, "all").draw(rng), (side, side))
        else:
            image = crop_of_photograph(rng, side)
        if image.mean() >= LEAST_MEAN * max(image.max(), 1):
            return image / float(image.max())
    raise InputError("scene static_region: 20 images in a row are dark")


SCENE = Scene(
    name="static_region",
    summary="A low-dose sample beside a known static structure at a high dose",
    reference="Manekar, Negrini, Pham, Jacobs, Srivastava, Osher, Miao, LoDIP: Low light phase retrieval with deep "
    "image prior, arXiv:2402.17745 (section 4.1)",
    parameters=StaticRegionParameters,
    build=build,
    gives=gives,
    open_extra=LIGHT,
)
