"""Masks: files given by the user, and what lies beside the data."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi.layout import bits_to_measured
from cdipipe.io.importing.files import format_of, split_key
from cdipipe.io.importing.find import find
from cdipipe.io.importing.formats import read_array
from cdipipe.io.importing.frames import Frames, Part

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake


def read_mask(name: str | Path, nonzero_is_bad: bool = False) -> np.ndarray:
    """Which pixels were measured: nonzero in the file, or zero with ``nonzero_is_bad``; CXI files have CXI bits.

    Parameters
    ----------
    name : file, or ``FILE::KEY``
    """
    path, key = split_key(name)
    if format_of(path) != "cxi":
        values = read_array(name)
        return (values == 0) if nonzero_is_bad else (values != 0) & ~np.isnan(values)
    if key is not None:
        return bits_to_measured(np.nan_to_num(read_array(name)))
    with ExitStack() as stack:
        mask = find(path, None, stack).beside.get("mask")
    if mask is None:
        raise InputError(f"{path}: holds no mask")
    return bits_to_measured(mask.values)


def from_file(intake: Intake) -> Apply | None:
    """The mask that the user gave."""
    options = intake.options
    if options.mask is None:
        return None
    measured = intake.fit_mask(read_mask(options.mask, options.mask_bad), "mask")
    return _apply(measured, "mask")


def beside(intake: Intake) -> Apply | None:
    """Masks that lie beside the data in their own files."""
    masks = [found.beside.get("mask") for found in intake.parts]
    if all(mask is None for mask in masks):
        return None
    first = next(mask for mask in masks if mask is not None)
    intake.account.say("masked", f"by {first.name} beside the data")
    measured = [None if mask is None else bits_to_measured(mask.values) for mask in masks]
    return _apply(intake.join_masks(measured, first.name), "file_mask")


def _apply(measured: np.ndarray, reason: str) -> Apply:
    def apply(frames: Frames, part: Part) -> None:
        frames.mask(~part.cut(measured), reason)

    return apply
