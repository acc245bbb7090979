"""Geometry from headers and from what the user says."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from cdipipe.geometry import Geometry
from cdipipe.io.cxi.geometry import read_geometry
from cdipipe.io.importing.found import Found

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake


@dataclass(frozen=True)
class Hints:
    """What a file says of the geometry, and what was odd about it."""

    geometry: Geometry = field(default_factory=Geometry)
    notes: list[str] = field(default_factory=list)


def from_found(found: Found) -> Hints:
    """The geometry in a file's headers."""
    return Hints(read_geometry(found.hdf5)) if found.kind == "cxi" and found.hdf5 is not None else Hints()


def decide(intake: Intake) -> Geometry:
    """The geometry of all frames of the files on the full detector: what the user says wins over what the file says."""
    given = dict(intake.options.given_geometry)
    if "pixel_y_m" in given:
        given["pixel_x_m"] = given["pixel_y_m"]
    return replace(from_found(intake.found).geometry, **given)
