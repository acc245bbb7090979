"""Photographs that come inside scikit-image: natural images without a download."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError

NAMES = (
    "astronaut.png",
    "brick.png",
    "camera.png",
    "cell.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "grass.png",
    "gravel.png",
    "hubble_deep_field.jpg",
    "ihc.png",
    "moon.png",
    "motorcycle_left.png",
    "retina.jpg",
    "rocket.jpg",
)
EVERYDAY = (
    "astronaut.png",
    "camera.png",
    "chelsea.png",
    "coffee.png",
    "coins.png",
    "motorcycle_left.png",
    "rocket.jpg",
)
"""Those that show things with edges and shading, as the photographs of CIFAR do."""


@functools.lru_cache(maxsize=len(NAMES))
def photograph(name: str) -> np.ndarray:
    """One photograph as (H, W) uint8, grey.

    Raises
    ------
    InputError   this scikit-image does not hold it
    """
    from PIL import Image

    spec = importlib.util.find_spec("skimage")
    path = Path(spec.origin).parent / "data" / name if spec else Path(name)
    if not path.is_file():
        raise InputError(f"the photograph {name} is not in this scikit-image; take another source, for example an npz")
    with Image.open(path) as image:
        return np.asarray(image.convert("L"))


@functools.lru_cache(maxsize=16)
def read_photograph(name: str) -> np.ndarray:
    """A picture of the user's own as (H, W) uint8, grey.

    Raises
    ------
    InputError   no such file, or no picture
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(Path(name).expanduser()) as image:
            return np.asarray(image.convert("L"))
    except FileNotFoundError:
        raise InputError(f"{name}: no such picture") from None
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read as a picture ({str(error).splitlines()[0][:80]})") from None


def resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 in another size, bilinear, every pixel counted when it shrinks."""
    from PIL import Image

    return np.asarray(Image.fromarray(image).resize(shape[::-1], Image.Resampling.BILINEAR))


def crop_of_photograph(rng: np.random.Generator, side: int, names: tuple[str, ...] = NAMES) -> np.ndarray:
    """(side, side) uint8: a random square of a random photograph, at least a quarter of its shorter side."""
    image = photograph(names[rng.integers(len(names))])
    shortest = min(image.shape)
    edge = int(rng.integers(max(shortest // 4, 1), shortest + 1))
    row, column = (int(rng.integers(n - edge + 1)) for n in image.shape)
    crop = image[row : row + edge, column : column + edge]
    return resized(crop[:, ::-1] if rng.random() < 0.5 else crop, (side, side))
