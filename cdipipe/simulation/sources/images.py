"""Small grey images by number: one interface to everything that a scene can draw from.

A bank has a length and gives its image ``i`` as uint8; images made by code are made when asked for, so that a bank
costs nothing until it is used. Image ``i`` never depends on what was asked for before.
"""

from __future__ import annotations

import functools
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from cdipipe.errors import InputError

Split = Literal["train", "test", "all"]
TEST_EVERY = 7
"""Every seventh image of a bank without a split of its own is for tests, the share that EMNIST keeps."""
FEWEST_PIXELS, MOST_PIXELS = 8, 4096


class NpzImages(BaseModel):
    """Images of the user's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    npz: str = Field(description="file with an array (N, H, W) of grey images, uint8 or real; .npz or .npy")
    key: str | None = Field(None, description="name of the array in it; needed where there are several")

    @property
    def path(self) -> Path:
        return Path(self.npz).expanduser()


def kind_of_source(value: object) -> str:
    """Which of a union of names and NpzImages the user meant, so that a message is about that one."""
    return "name" if isinstance(value, str) else "NpzImages"


def files_of(*sources: object) -> list[Path]:
    """The files among the sources of a scene."""
    return [source.path for source in sources if isinstance(source, NpzImages)]


@dataclass(frozen=True)
class Bank:
    """``length`` images; ``get(i)`` gives (H, W) uint8."""

    name: str
    length: int
    get: Callable[[int], np.ndarray]

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """One image, all equally likely."""
        return self.get(int(rng.integers(self.length)))


@functools.lru_cache(maxsize=16)
def numbers_of_split(count: int, split: Split) -> np.ndarray:
    """Which of ``count`` images belong to a split; all of them where there are too few to divide."""
    numbers = np.arange(count)
    if split == "all" or count < TEST_EVERY:
        return numbers
    return numbers[(numbers % TEST_EVERY == TEST_EVERY - 1) == (split == "test")]


def of_array(name: str, images: np.ndarray, split: Split = "all") -> Bank:
    """Bank of an array (N, H, W); of the split every seventh image is for tests."""
    numbers = numbers_of_split(len(images), split)
    return Bank(name, len(numbers), lambda index: np.asarray(images[numbers[index]]))


def of_archive(name: str, split: Split) -> Bank:
    """Bank of EMNIST or CIFAR-100 with the published splits; InputError if it was not fetched."""
    from cdipipe.io.datasets.archives import IMAGE_ARCHIVES, load_images

    images, train = load_images(name), IMAGE_ARCHIVES[name].train
    part = {"train": slice(0, train), "test": slice(train, None), "all": slice(None)}[split]
    return of_array(name, images[part], "all")


def of_npz(source: NpzImages, split: Split) -> Bank:
    """Bank of a file's images; real values are stretched from 0 ... max to 0 ... 255."""
    path = source.path
    if not path.is_file():
        raise InputError(f"{source.npz}: no such file; a .npz or .npy file of images (N, H, W) is needed")
    return of_array(path.name, _read_images(path, source.key, path.stat().st_mtime_ns), split)


@functools.lru_cache(maxsize=4)
def _read_images(path: Path, key: str | None, _changed_ns: int) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            images = loaded
        else:
            with loaded:
                images = loaded[_find_key(path, loaded, key)]
    except InputError:
        raise
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as npz or npy ({error})") from error
    return _as_uint8(path, images)


def _find_key(path: Path, loaded, key: str | None) -> str:
    """The key asked for, or the only array that could be images."""
    if key is not None:
        if key not in loaded.files:
            raise InputError(f"{path}: has no array '{key}'; there is {', '.join(loaded.files)}")
        return key
    fitting = loaded.files
    if len(fitting) > 1:
        fitting = [name for name in loaded.files if loaded[name].ndim == 3]
    if len(fitting) != 1:
        raise InputError(f"{path}: which array? give key; there is {', '.join(loaded.files)}")
    return fitting[0]


def _as_uint8(path: Path, images: np.ndarray) -> np.ndarray:
    if images.ndim == 2:
        images = images[None]
    sides = images.shape[1:]
    if images.ndim != 3 or not len(images) or min(sides) < FEWEST_PIXELS or max(sides) > MOST_PIXELS:
        raise InputError(f"{path}: images of shape {images.shape}; (N, H, W) with sides of 8 to 4096 is needed")
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind not in "buif" or not np.isfinite(images).all() or images.min() < 0 or not images.max() > 0:
        raise InputError(f"{path}: values must be real, finite, at least 0 and not all 0; got {images.dtype}")
    return np.rint(images.astype(np.float32) * (255 / float(images.max()))).astype(np.uint8)
