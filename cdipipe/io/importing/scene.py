"""What a measurement holds beside counts and mask, when it is imported once more: probe, known structures, times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cdipipe.io.cxi.extra import read_scene
from cdipipe.io.importing.files import reading

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake

WORDS = {
    "probe_modes": "probe modes",
    "static_region": "the static region",
    "static_support": "the static region's support",
    "object_support": "the object's support",
    "frame_times_s": "the frames' times",
}
PER_FRAME = ("static_region", "static_support", "object_support")


def scene_of_file(intake: Intake, shape: tuple[int, ...], same_grid: bool) -> dict[str, Any]:
    """Arguments of Measurement that the counts' own file has, or a note that they cannot be kept.

    Parameters
    ----------
    shape : of one pattern of the result
    same_grid : whether the patterns are as they were, neither cropped nor binned nor turned
    """
    if intake.found.kind != "cxi" or intake.found.hdf5 is None:
        return {}
    with reading(intake.found.path):
        scene = {name: values for name, values in read_scene(intake.found.hdf5).items() if values is not None}
    if not scene:
        return {}
    on_grid = {
        name for name, values in scene.items() if name == "frame_times_s" or values.shape[-len(shape) :] == shape
    }
    lost = {} if same_grid and len(intake.parts) == 1 else {name: scene[name] for name in scene}
    lost |= {name: scene[name] for name in scene if name not in on_grid}
    if "frame_times_s" in scene and (np.diff(scene["frame_times_s"][intake.numbers]) <= 0).any():
        lost["frame_times_s"] = scene["frame_times_s"]
    if lost:
        words = ", ".join(WORDS[name] for name in lost)
        intake.account.note(
            f"not taken over from {intake.where}: {words}, which belong to its patterns as they were; import it "
            "without --crop, --bin, --corner and --axis, or give --probe"
        )
    return {name: _chosen(name, values, intake) for name, values in scene.items() if name not in lost}


def _chosen(name: str, values: np.ndarray, intake: Intake) -> np.ndarray:
    """Of what differs between frames, the part that belongs to the chosen ones."""
    if name == "frame_times_s":
        return values[intake.numbers]
    if name not in PER_FRAME or values.ndim == intake.rank:
        return values
    return values[intake.numbers] if intake.stack in ("shots", "movie") else values[intake.numbers[0]]
