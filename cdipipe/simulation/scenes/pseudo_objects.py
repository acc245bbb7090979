"""Pseudo-objects of DPR: the outline of a character filled with the grey levels of a photograph.

Shape: binarise at 0.1, maximum filter of 3, 5 or 7 pixels, turn by up to +-90 degrees, scale by 0.8 to 1.5, crop.
Density: a crop of 0.08 to 1 of the image's area, aspect 3/4 to 4/3, resized. The same steps in the same order as the
authors' data generator (github.com/sungyun98/DPR), nearest-neighbour turning included.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import Field, model_validator

from cdipipe.errors import InputError
from cdipipe.optics.grid import embed
from cdipipe.simulation.registry import Sample, Scene
from cdipipe.simulation.shots import ShotSceneParameters
from cdipipe.simulation.sources.banks import DensitySource, ShapeSource, density_bank, shape_bank
from cdipipe.simulation.sources.images import Split, files_of

BOX_PX, CHARACTER_PX = 64, 28
"""Side of DPR's object box, and of the characters drawn into it at scale 1."""
BINARISE_AT = 0.1
DILATE_PX = (3, 5, 7)
TURN_DEG = 90.0
SCALE = (0.8, 1.5)
CROP_AREA, CROP_ASPECT = (0.08, 1.0), (3 / 4, 4 / 3)
CROP_TRIES = 10
EMPTY_TRIES = 50
FIT_TRIES = 40
PHASE_BLUR = 1 / 32
"""Blur of the phase's image as a share of the box."""


class PseudoObjectParameters(ShotSceneParameters):
    size: int = Field(512, ge=32, le=16384, description="array pixels per axis; DPR: 512")
    object_size: int | None = Field(
        None,
        ge=16,
        description="largest extent of the support along an axis, in pixels; not given: as DPR, characters at a random "
        "scale in a box of 64 pixels (at most size / 4)",
    )
    phase_range_rad: float = Field(
        0.0, description="phase, peak to peak over the support, 0 to 2 pi; 0: real and non-negative as in DPR"
    )
    photons_max: float | None = Field(
        None, gt=0, le=1e15, description="photons of a pattern uniform between photons and this; DPR: 1e6 to 1e7"
    )
    shapes: ShapeSource = Field(
        "glyphs", description="glyphs: bundled fonts; emnist (cdipipe fetch emnist); or shapes.npz=FILE shapes.key=NAME"
    )
    densities: DensitySource = Field(
        "textures",
        description="textures: made by code; photographs: bundled; cifar100 (cdipipe fetch ...); or densities.npz=FILE",
    )
    split: Split = Field("train", description="train, test or all: which images of the sources")
    count: int = Field(1, ge=1, description="independent patterns; more than one makes a stack of shots")

    @model_validator(mode="after")
    def _possible(self):
        if self.object_size is not None and self.object_size > self.size:
            raise ValueError(f"object_size {self.object_size} is larger than the array (size {self.size})")
        if not 0 <= self.phase_range_rad <= 2 * np.pi + 1e-3:
            raise ValueError(f"phase_range_rad {self.phase_range_rad} is outside 0 to 2 pi")
        if self.photons_max is not None and not 0 < self.photons <= self.photons_max:
            raise ValueError(f"photons_max {self.photons_max:g} needs photons between 0 and it; got {self.photons:g}")
        return self

    def input_files(self) -> list[Path]:
        return files_of(self.shapes, self.densities)

    @property
    def box_px(self) -> int:
        """Side of the box that holds the object."""
        return self.object_size or min(BOX_PX, self.size // 4)


def build(parameters: PseudoObjectParameters, rng: np.random.Generator) -> Sample:
    """One pseudo-object; its density is 1 where a crop would make it vanish, as in DPR."""
    box = parameters.box_px
    densities = density_bank(parameters.densities, parameters.split)
    support = _draw_support(parameters, rng)
    density = crop_resized(densities.draw(rng), box, rng) / 255
    if not density[support].any():
        density = np.ones_like(density)
    exit_wave = (support * density).astype(np.complex128)
    if parameters.photons_max is not None:
        total = rng.uniform(parameters.photons, parameters.photons_max)
        exit_wave *= np.sqrt(total / np.sum(np.abs(exit_wave) ** 2))
    if parameters.phase_range_rad > 0:
        exit_wave *= np.exp(1j * _phase(densities.draw(rng), support, parameters.phase_range_rad, rng))
    whole, whole_support = (embed(block, (parameters.size,) * 2) for block in (exit_wave, support))
    return Sample(whole, whole_support, photons_scaled=parameters.photons_max is not None)


def _draw_support(parameters: PseudoObjectParameters, rng: np.random.Generator) -> np.ndarray:
    bank = shape_bank(parameters.shapes, parameters.split)
    for _ in range(EMPTY_TRIES):
        support = draw_shape(bank.draw(rng), parameters.box_px, rng, fit=parameters.object_size is not None)
        if support.any():
            return support
    raise InputError(f"scene pseudo_objects: {EMPTY_TRIES} images of '{bank.name}' in a row hold no shape")


def draw_shape(character: np.ndarray, box: int, rng: np.random.Generator, fit: bool = False) -> np.ndarray:
    """Outline (box, box) bool of a character (H, W) uint8: binarised, dilated, turned, scaled, cropped.

    With ``fit`` it spans the box along its longer axis, whatever the scale that was drawn.
    """
    from scipy.ndimage import maximum_filter

    side = max(character.shape)
    width = 2 * round((DILATE_PX[rng.integers(len(DILATE_PX))] - 1) / 2 * side / CHARACTER_PX) + 1
    thick = maximum_filter((character > BINARISE_AT * 255).view(np.uint8), width, mode="constant")
    angle, scale = np.deg2rad(rng.uniform(-TURN_DEG, TURN_DEG)), rng.uniform(*SCALE)
    scale *= box / BOX_PX * CHARACTER_PX / side
    return _fitted(thick, angle, scale, box) if fit and thick.any() else _turned(thick, angle, scale, box)


def _fitted(image: np.ndarray, angle: float, scale: float, box: int) -> np.ndarray:
    """As :func:`_turned` at the scale at which the longer side spans the box (at most one pixel less), centred."""
    fitting = np.zeros((box, box), bool)
    for _ in range(FIT_TRIES):
        wide = _turned(image, angle, scale, 3 * box)
        rows, columns = (np.nonzero(wide.any(axis))[0] for axis in (1, 0))
        extents = [index[-1] - index[0] + 1 for index in (rows, columns)]
        if max(extents) <= box:
            (top, left), (height, width) = ((box - n) // 2 for n in extents), extents
            fitting[:] = False
            fitting[top : top + height, left : left + width] = wide[
                rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1
            ]
        if max(extents) == box:
            break
        scale *= (box - 0.25) / max(extents) if max(extents) < box or max(extents) > box + 1 else 0.995
    return fitting


def _turned(image: np.ndarray, angle: float, scale: float, box: int) -> np.ndarray:
    """Image turned and scaled about its centre into a box, nearest neighbours, nothing outside: (box, box) bool."""
    axis = (np.arange(box) - (box - 1) / 2) / scale
    cosine, sine = np.cos(angle) * axis, np.sin(angle) * axis
    rows = np.rint(cosine[:, None] - sine[None] + (image.shape[0] - 1) / 2).astype(int)
    columns = np.rint(sine[:, None] + cosine[None] + (image.shape[1] - 1) / 2).astype(int)
    within = (rows >= 0) & (rows < image.shape[0]) & (columns >= 0) & (columns < image.shape[1])
    return (image[np.where(within, rows, 0), np.where(within, columns, 0)] > 0) & within


def crop_resized(image: np.ndarray, box: int, rng: np.random.Generator) -> np.ndarray:
    """Random part of an image in a square (box, box) uint8: random area, aspect and place; bilinear."""
    from cdipipe.simulation.sources.photographs import resized

    height, width = image.shape
    for _ in range(CROP_TRIES):
        area = height * width * rng.uniform(*CROP_AREA)
        aspect = np.exp(rng.uniform(*np.log(CROP_ASPECT)))
        rows, columns = round(np.sqrt(area / aspect)), round(np.sqrt(area * aspect))
        if 0 < rows <= height and 0 < columns <= width:
            top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
            return resized(np.ascontiguousarray(image[top : top + rows, left : left + columns]), (box, box))
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return resized(np.ascontiguousarray(image[top : top + side, left : left + side]), (box, box))


def _phase(image: np.ndarray, support: np.ndarray, span: float, rng: np.random.Generator) -> np.ndarray:
    """Smooth phase from an image, ``span`` from lowest to highest on the support; flat images give none."""
    from scipy.ndimage import gaussian_filter

    field = gaussian_filter(crop_resized(image, len(support), rng).astype(np.float64), len(support) * PHASE_BLUR)
    bottom, top = field[support].min(), field[support].max()
    return np.where(support, (field - bottom) / max(top - bottom, 1e-9) - 0.5, 0) * span


SCENE = Scene(
    name="pseudo_objects",
    summary="Pseudo-objects: outlines of characters filled with densities of photographs",
    reference="Lee et al., npj Comput. Mater. (2025), deep-learning real-time phase retrieval (DPR; Methods 4.2); "
    "EMNIST doi:10.1109/IJCNN.2017.7966217; CIFAR-100: Krizhevsky 2009",
    parameters=PseudoObjectParameters,
    build=build,
)
