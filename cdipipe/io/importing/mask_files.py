"""Irregular masks in files: bit-packed or plain arrays, pictures, and folders of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.inputs import check_readable
from cdipipe.io.hdf5 import faults_are_input_errors
from cdipipe.io.importing.formats import read_array

BRIGHT_ABOVE = 0.6
"""A pixel is bright above this share of the brightest one (DPR binarises at 0.6)."""
SUFFIXES = (".npz", ".npy", ".png")


@dataclass(frozen=True)
class MaskFile:
    """Masks of one file; ``packed`` along the last axis, or one byte per pixel.

    Parameters
    ----------
    values : (N, H, W) bool, or (N, H, ceil(W / 8)) uint8 where packed
    """

    values: np.ndarray
    width_px: int | None = None

    def bright(self, index: int) -> np.ndarray:
        """Mask ``index`` as (H, W) bool."""
        if self.width_px is None:
            return self.values[index]
        return np.unpackbits(self.values[index], axis=-1, count=self.width_px).view(bool)


def _read_png(path: Path) -> np.ndarray:
    from PIL import Image

    check_readable(path)
    with faults_are_input_errors(path, "damaged picture", Exception), Image.open(path) as image:
        return np.asarray(image.convert("L"))


def _read_packed(path: Path) -> MaskFile | None:
    """Masks of an npz file with ``packed`` and ``shape``; None for one without."""
    check_readable(path)
    with faults_are_input_errors(path, "damaged npz file", Exception), np.load(path, allow_pickle=False) as archive:
        names = set(archive.files)
    if not {"packed", "shape"} <= names:
        return None
    packed, shape = read_array(path, "packed"), tuple(int(n) for n in read_array(path, "shape").ravel())
    if len(shape) != 3 or packed.dtype != np.uint8 or packed.shape != (*shape[:2], -(-shape[2] // 8)):
        raise InputError(f"{path}: 'packed' {packed.dtype} {packed.shape} does not hold masks of 'shape' {shape}")
    return MaskFile(packed, shape[2])


@functools.lru_cache(maxsize=64)
def _read_file(path: Path, _changed: tuple[int, int]) -> MaskFile:
    if path.suffix.lower() == ".npz" and (packed := _read_packed(path)) is not None:
        return packed
    values = _read_png(path) if path.suffix.lower() == ".png" else np.squeeze(read_array(path))
    values = values[None] if values.ndim == 2 else values
    if values.ndim != 3 or min(values.shape) < 1 or not np.isfinite(values).all():
        raise InputError(f"{path}: should hold masks (H, W) or (N, H, W); got shape {values.shape}")
    return MaskFile(values > BRIGHT_ABOVE * np.maximum(values.max(axis=(1, 2), keepdims=True), np.finfo(float).tiny))


def _version(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=8)
def _folder_files(folder: Path, _changed: tuple[int, int]) -> tuple[Path, ...]:
    return tuple(sorted(file for file in folder.iterdir() if file.suffix.lower() in SUFFIXES))


def draw_mask(source: str | Path, rng: np.random.Generator) -> np.ndarray:
    """One mask, drawn evenly over files and then over the masks of the file.

    Parameters
    ----------
    source : npz (``packed`` bits along the last axis and ``shape``, or one array), npy, png, or a folder of such

    Returns
    -------
    (H, W) bool, True where bright

    Raises
    ------
    InputError   the file or folder is missing, empty, damaged or of another kind
    """
    path = Path(source)
    if not path.exists():
        raise InputError(f"masks: there is no file or folder '{path}'")
    files = _folder_files(path, _version(path)) if path.is_dir() else (path,)
    if not files or files[0].suffix.lower() not in SUFFIXES:
        what = "holds no" if path.is_dir() else "is not a"
        raise InputError(f"masks: '{path}' {what} mask file; allowed: {', '.join(SUFFIXES)}")
    file = files[rng.integers(len(files))]
    masks = _read_file(file, _version(file))
    return masks.bright(int(rng.integers(len(masks.values))))
