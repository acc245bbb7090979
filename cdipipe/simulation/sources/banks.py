"""The banks of images that scenes name in their parameters."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Tag

from cdipipe.simulation.sources.images import Bank, NpzImages, Split, kind_of_source, of_archive, of_npz

_File = Annotated[NpzImages, Tag("NpzImages")]
ShapeSource = Annotated[Annotated[Literal["glyphs", "emnist"], Tag("name")] | _File, Discriminator(kind_of_source)]
DensitySource = Annotated[
    Annotated[Literal["textures", "photographs", "cifar100"], Tag("name")] | _File, Discriminator(kind_of_source)
]
ENDLESS = 2**31
"""Length of a bank whose images are made by code."""


def shape_bank(source: ShapeSource, split: Split) -> Bank:
    """Characters that give an object its outline; InputError if a file is missing or damaged."""
    if isinstance(source, NpzImages):
        return of_npz(source, split)
    return of_archive(source, split) if source == "emnist" else _glyphs(split)


def density_bank(source: DensitySource, split: Split) -> Bank:
    """Images that fill an object; InputError if a file is missing or damaged."""
    if isinstance(source, NpzImages):
        return of_npz(source, split)
    if source == "cifar100":
        return of_archive(source, split)
    return _photographs(split) if source == "photographs" else _textures(split)


def _glyphs(split: Split) -> Bank:
    """Every seventh glyph is for tests."""
    from cdipipe.simulation.sources.glyphs import COUNT, make_glyph
    from cdipipe.simulation.sources.images import numbers_of_split

    numbers = numbers_of_split(COUNT, split)
    return Bank("glyphs", len(numbers), lambda index: make_glyph(int(numbers[index])))


def _textures(split: Split) -> Bank:
    """Tests have textures of their own; all: those of training."""
    from cdipipe.simulation.sources.textures import make_texture

    first = ENDLESS if split == "test" else 0
    return Bank("textures", ENDLESS, lambda index: make_texture(first + index))


def _photographs(split: Split) -> Bank:
    """Crops of bundled photographs; the splits share the photographs, not the crops."""
    import numpy as np

    from cdipipe.simulation.sources.photographs import EVERYDAY, crop_of_photograph

    first = ENDLESS if split == "test" else 0
    side = 32

    def get(index: int) -> np.ndarray:
        return crop_of_photograph(np.random.default_rng([31, first + index]), side, EVERYDAY)

    return Bank("photographs", ENDLESS, get)
