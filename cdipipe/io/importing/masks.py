"""Masks: files given by the user, and what lies beside the data."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.files import reading, split_key
from cdipipe.io.importing.find import find
from cdipipe.io.importing.formats import read_array
from cdipipe.io.importing.found import ArrayBeside
from cdipipe.io.importing.frames import Frames, Part, whole_frames
from cdipipe.io.importing.readers import reader_of
from cdipipe.io.pixel_masks import CXI_DISPUTED, cxi_disputed, cxi_faults, nexus_faults

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Apply, Intake
    from cdipipe.io.importing.options import ImportOptions

PICTURES = {"msk": "fit2d", "png": "picture"}
"""Formats that hold masks only, and what nonzero means there: bad (Fit2D), measured (a picture, white on black)."""
NEXUS_NAME = re.compile(r"pixel_mask(_\d+)?$")
NEXT_TO_NOTHING = 0.05
"""A mask that leaves less of the pixels is questioned,"""
HALF, NO_PHOTONS = 0.5, 0.01
"""and one that leaves less than half of the pixels and next to none of the photons."""


def mask_file(name: str | Path) -> ArrayBeside:
    """The numbers of a mask file and what they mean: kind ``cxi``, ``nexus``, ``fit2d``, ``picture`` or ``array``."""
    path, key = split_key(name)
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in PICTURES:
        return ArrayBeside(_read_picture(path, suffix), str(name), PICTURES[suffix])
    if reader_of(path).name == "cxi" and key is None:
        with ExitStack() as stack:
            mask = find(path, None, stack).beside.get("mask")
        if mask is None:
            raise InputError(f"{path}: holds no mask")
        return mask
    kind = "nexus" if key and NEXUS_NAME.search(key) else "cxi" if reader_of(path).name == "cxi" else "array"
    return ArrayBeside(read_array(name), str(name), kind)


def _read_picture(path: Path, suffix: str) -> np.ndarray:
    with reading(path):
        if suffix == "msk":
            from fabio.fit2dmaskimage import Fit2dMaskImage

            with Fit2dMaskImage().read(str(path)) as image:
                return np.array(image.data)
        from PIL import Image

        with Image.open(path) as image:
            return np.asarray(image.convert("L"))


def faults_of(mask: ArrayBeside, nonzero_is_bad: bool = False, nonzero_is_good: bool = False) -> dict[str, np.ndarray]:
    """Pixels that a mask calls bad, by reason; where nobody knows what nonzero means, most pixels are measured."""
    values, not_a_number = mask.values, np.isnan(mask.values)
    if nonzero_is_good or (mask.kind in ("array", "picture") and not nonzero_is_bad):
        return _if_any("mask", (values == 0) | not_a_number)
    if mask.kind == "unknown" and not nonzero_is_bad:
        return _if_any("mask", values == 0 if np.mean(values != 0) > HALF else values != 0)
    if nonzero_is_bad or mask.kind == "fit2d":
        return _if_any("mask", values != 0)
    return nexus_faults(values) if mask.kind == "nexus" else cxi_faults(values)


def _if_any(reason: str, bad: np.ndarray) -> dict[str, np.ndarray]:
    return {reason: bad} if bad.any() else {}


def from_file(intake: Intake) -> Apply | None:
    """The mask that the user gave."""
    options = intake.options
    if options.mask is None:
        return None
    mask = mask_file(options.mask)
    faults = faults_of(mask, options.mask_bad, options.mask_good)
    _tell_disputed(intake, mask)
    fitted = {name: ~intake.fit_mask(~bad, "mask") for name, bad in faults.items()}
    _question(intake, fitted, f"--mask {options.mask}")
    return _apply(fitted)


def beside(intake: Intake) -> Apply | None:
    """Masks that lie beside the data in their own files.

    Raises
    ------
    InputError   it is said what nonzero means in a mask, and there is none; the mask leaves next to nothing
    """
    options = intake.options
    masks = [found.beside.get("mask") for found in intake.parts]
    if options.mask:  # a mask whose meaning would be a guess gives way to the user's
        masks = [None if mask is not None and mask.kind == "unknown" else mask for mask in masks]
    known = [mask for mask in masks if mask is not None]
    if options.mask_bad and options.mask_good:
        raise InputError("--mask-bad and --mask-good: nonzero means one or the other")
    if (options.mask_bad or options.mask_good) and not known and options.mask is None:
        raise InputError(f"{intake.where}: there is no mask beside the data that --mask-bad or --mask-good could be of")
    if not known:
        return None
    decided = (False, False) if options.mask else (options.mask_bad, options.mask_good)
    faults = [None if mask is None else faults_of(mask, *decided) for mask in masks]
    intake.account.say("masked", f"by {known[0].name} beside the data", guess=known[0].kind == "unknown")
    for mask in known:
        _tell_disputed(intake, mask)
    fitted = {}
    for reason in dict.fromkeys(name for part in faults for name in part or ()):
        measured = [
            None if part is None else ~part.get(reason, np.zeros(mask.values.shape, bool))
            for part, mask in zip(faults, masks, strict=True)
        ]
        fitted[reason] = ~intake.join_masks(measured, known[0].name)
    _question(intake, fitted, f"{intake.where}: the mask {known[0].name}")
    return _apply(fitted)


def _tell_disputed(intake: Intake, mask: ArrayBeside) -> None:
    options: ImportOptions = intake.options
    if mask.kind != "cxi" or options.mask_bad or options.mask_good:
        return
    for bit, count in cxi_disputed(mask.values).items():
        intake.account.note(
            f"{mask.name}: {count} pixels have bit {bit:#x} only, which is no fault by the CXI description; some "
            f"programs write it for '{CXI_DISPUTED[bit]}': if so, --mask-bad"
        )


def _question(intake: Intake, faults: dict[str, np.ndarray], what: str) -> None:
    """Refuse a mask that leaves next to nothing, unless the user has said what it means.

    Raises
    ------
    InputError   with what to type
    """
    options = intake.options
    if not faults or options.mask_bad or options.mask_good:
        return
    bad = np.zeros(intake.source.shape[1:], bool)
    for where in faults.values():
        bad = bad | where
    left, light = 1 - float(bad.mean()), _share_of_photons(intake, ~bad)
    if left > NEXT_TO_NOTHING and (left > HALF or light > NO_PHOTONS):
        return
    said = f"leaves {100 * left:.3g} % of the pixels" if left else f"leaves no pixel, all {bad.size} are masked"
    raise InputError(
        f"{what}: {said} and {100 * light:.3g} % of the photons; if nonzero means bad in it type --mask-bad, if "
        "nonzero means measured --mask-good (either one if it is right as it was read)"
    )


def _share_of_photons(intake: Intake, measured: np.ndarray) -> float:
    """Share of the photons that pixels left by a mask have, in the middle frame."""
    counts = _middle_frame(intake)
    here = measured if measured.ndim == 2 else measured[len(measured) // 2]
    return float((counts * here).sum() / max(float(counts.sum()), 1e-30))


def _middle_frame(intake: Intake) -> np.ndarray:
    """Counts (H, W) of the middle frame, 0 where they are no counts."""
    shape = intake.source.shape
    part = whole_frames(shape, np.array([shape[0] // 2]))
    frames = intake.marks.to_frames(intake.source.read(part), part)
    return (frames.counts * frames.measured)[0]


def _apply(faults: dict[str, np.ndarray]) -> Apply:
    def apply(frames: Frames, part: Part) -> None:
        for reason, bad in faults.items():
            frames.mask(part.cut(bad), reason)

    return apply
