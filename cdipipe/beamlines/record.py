"""What a beamline's YAML file may say.

The frame is that of NeXus and McStas: z along the beam, y up, x = y x z. An axis is ``y+`` (right-handed about y),
``x-`` (left-handed about x), ... or a unit vector of three numbers. Circles are listed outermost first.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cdipipe.geometry import Circle, Vector

SIGNED_AXES: dict[str, Vector] = {
    f"{axis}{sign}": tuple(value * (index == place) for place in range(3))
    for index, axis in enumerate("xyz")
    for sign, value in (("+", 1.0), ("-", -1.0))
}
Name = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_-]*$")]
Pixel = Annotated[float, Field(gt=1e-8, lt=1e-2)]


def _vector(value: Any) -> Any:
    """``y+`` or three numbers, as a unit vector."""
    if isinstance(value, str):
        if value not in SIGNED_AXES:
            raise ValueError(f"expected one of {', '.join(SIGNED_AXES)}, or three numbers")
        return SIGNED_AXES[value]
    return value


def _of_length_one(vector: Vector) -> Vector:
    length = float(np.linalg.norm(vector))
    if not abs(length - 1) < 1e-3:
        raise ValueError(f"expected a vector of length 1; this one has {length:.4g}")
    return vector


Axis = Annotated[Vector, BeforeValidator(_vector), AfterValidator(_of_length_one)]


class Part(BaseModel):
    """A level of the file: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CircleEntry(Part):
    """One circle of the goniometer or of the detector's arm."""

    name: Name
    axis: Axis
    motors: list[str] = Field([], description="names in scan files, beside the circle's own")
    zero_deg: float = Field(0.0, description="what the motor reads where the circle is at zero")
    sign: Literal[1, -1] = Field(1, description="-1: the motor counts against the axis")
    absent_deg: float | None = Field(
        None, description="angle where no scan file has the motor; without it, it is asked for"
    )

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.motors)

    def angle_deg(self, reading: float) -> float:
        """Angle about the axis from what the motor reads."""
        return self.sign * (reading - self.zero_deg)

    def circle(self, angle_deg: float) -> Circle:
        return Circle(self.name, self.axis, angle_deg)


class QuantityEntry(Part):
    """A number that scan files have among the motors."""

    motors: list[str] = Field(min_length=1)
    unit: str


class DetectorEntry(Part):
    """A detector: its pixels, and along which directions of the lab rows and columns grow with its arm at zero."""

    pixel_m: tuple[Pixel, Pixel] = Field(description="from row to row, from column to column")
    rows: Axis = SIGNED_AXES["y-"]
    columns: Axis = SIGNED_AXES["x+"]
    aliases: list[str] = []

    @model_validator(mode="after")
    def _orthogonal(self) -> DetectorEntry:
        if abs(np.dot(self.rows, self.columns)) > 1e-3:
            raise ValueError("rows and columns must be orthogonal")
        return self


class RegionEntry(Part):
    """The read-out part of the detector, in a header of the scan file: four whole numbers in this order."""

    header: str
    order: tuple[str, str, str, str] = ("x", "width", "y", "height")

    @model_validator(mode="after")
    def _all_four(self) -> RegionEntry:
        if sorted(self.order) != ["height", "width", "x", "y"]:
            raise ValueError("order must name x, width, y and height")
        return self


class ScanFileEntry(Part):
    """Where scan files keep things.

    ``entries`` and the paths below them are for HDF5: ``{scan}`` is the number, ``{motor}`` the name, ``*`` any text.
    """

    kind: Literal["spec", "fio", "hdf5"]
    entries: list[str] = []
    positions: list[str] = []
    scanned: list[str] = Field([], description="positions of whatever was scanned, where they have no motor's name")
    command: list[str] = Field([], description="text that names the scanned motor")
    detector: list[str] = Field([], description="where the detector is named: a header, a motor or a path")

    @model_validator(mode="after")
    def _paths_for_hdf5(self) -> ScanFileEntry:
        if self.kind == "hdf5" and not (self.entries and self.positions):
            raise ValueError("'hdf5' needs 'entries' and 'positions'")
        return self


class Beamline(Part):
    """A beamline: what its files call things, and how its circles turn."""

    name: Name
    summary: str
    technique: str = "Bragg coherent diffraction"
    sample: list[CircleEntry] = Field(description="circles of the goniometer, outermost first")
    arm: list[CircleEntry] = Field([], description="circles of the detector, outermost first")
    rocking: list[str] = Field([], description="circles that are scanned in rocking curves, most often first")
    energy: QuantityEntry | None = None
    distance: QuantityEntry | None = None
    exposure: QuantityEntry | None = None
    detectors: dict[str, DetectorEntry] = Field(min_length=1)
    default_detector: str
    region: RegionEntry | None = None
    scan_file: ScanFileEntry
    files: dict[str, str] = Field({}, description="how files are called, for people")
    notes: list[str] = []
    references: list[str] = Field(min_length=1, description="where these facts are from")

    @model_validator(mode="after")
    def _consistent(self) -> Beamline:
        names = [circle.name for circle in (*self.sample, *self.arm)]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"two circles are called '{sorted(twice)[0]}'")
        known = {circle.name for circle in self.sample}
        if unknown := [name for name in self.rocking if name not in known]:
            raise ValueError(f"rocking: no circle of the sample is called '{unknown[0]}'")
        if self.default_detector not in self.detectors:
            raise ValueError(f"default_detector: no detector is called '{self.default_detector}'")
        return self

    def detector_called(self, name: str | None) -> str | None:
        """Key of a detector by its name or an alias, whatever the case; None where there is none."""
        wanted = (name or "").strip().rstrip(":").lower()
        for key, entry in self.detectors.items():
            if wanted in (key.lower(), *(alias.lower() for alias in entry.aliases)):
                return key
        return None
