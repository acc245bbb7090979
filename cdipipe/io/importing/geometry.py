"""Geometry of an import: what the user says, then a scan file and its beamline, then what the headers say."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cdipipe.beamlines.record import Beamline
from cdipipe.beamlines.registry import get_beamline
from cdipipe.errors import InputError
from cdipipe.geometry import Geometry, Scan
from cdipipe.io.cxi.geometry import read_geometry
from cdipipe.io.importing.experiment import Experiment, read_experiment
from cdipipe.io.importing.files import HDF5_SUFFIXES, reading
from cdipipe.io.importing.found import Found
from cdipipe.io.importing.headers import motors_of_edf, read_header
from cdipipe.io.importing.nexus import read_nexus
from cdipipe.io.importing.plausible import doubt
from cdipipe.io.importing.scans import Reading, ScanRecord, read_scan

if TYPE_CHECKING:
    from cdipipe.io.importing.intake import Intake

IMAGE_KINDS = ("edf", "cbf", "tif", "tiff")
JUDGED = {"pixel_y_m": "pixel_m", "pixel_x_m": "pixel_m"} | {
    name: name for name in ("energy_ev", "distance_m", "exposure_s", "rocking_step_rad")
}
SAME = 0.01
"""Relative difference up to which two sources say the same."""


@dataclass(frozen=True)
class Hints:
    """What a file says of the geometry, by the fields that it gives, and what was odd about it."""

    fields: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def geometry(self) -> Geometry:
        return Geometry(**self.fields)


def from_found(found: Found) -> Hints:
    """The geometry in a file's headers; what is implausible there is left out with a note."""
    with reading(found.path):
        values, notes = _from_header(found)
    return _believed(values, notes, found.where)


def _from_header(found: Found) -> tuple[dict[str, Any], list[str]]:
    if found.kind in IMAGE_KINDS:
        return read_header(found.kind, found.header), []
    if (source := found.hdf5) is None:
        return {}, []
    if found.kind == "cxi" or source.get("/cxi_version") is not None:
        return _given(read_geometry(source)), []
    return read_nexus(source, found.detector or found.key, found.entry)


def _given(geometry: Geometry) -> dict[str, Any]:
    """Fields that differ from an unknown geometry's."""
    unknown = Geometry()
    return {
        one.name: value
        for one in fields(geometry)
        if (value := getattr(geometry, one.name)) != getattr(unknown, one.name)
    }


def _believed(values: dict[str, Any], notes: list[str], where: str) -> Hints:
    kept, notes = {}, list(notes)
    for name, value in values.items():
        why = doubt(JUDGED[name], value) if name in JUDGED else None
        if why is None:
            kept[name] = value
        else:
            notes.append(f"{where}: {name} is not believed and left out ({why})")
    return Hints(kept, notes)


def decide(intake: Intake) -> Geometry:
    """The geometry of the chosen frames on the full detector, each choice told in the account.

    Raises
    ------
    InputError   the scan file, the beamline or an angle does not fit; what is given contradicts itself
    """
    options, account = intake.options, intake.account
    hints = from_found(intake.found)
    gathered = Experiment()
    gathered.set(f"the header of {intake.where}", **hints.fields)
    gathered.notes += hints.notes
    if options.beamline is not None or options.scan_file is not None:
        _put_over(gathered, _experiment(intake))
    _command_line(gathered, options.given_geometry)
    if options.exposure_s is not None:
        gathered.set("the command line", exposure_s=options.exposure_s)
    scan_motor = gathered.fields.pop("scan_motor", None)
    _place_region(gathered, intake)
    _fit_scan(gathered, intake, scan_motor)
    geometry = _made(gathered)
    if geometry.detector_circles and geometry.beam_centre_px is None:
        gathered.guesses.append("the angles of the detector are those of the middle pixel of what is kept")
    for text in gathered.guesses:
        account.say("geometry", text, guess=True)
    for text in gathered.notes:
        account.note(text)
    _tell(intake, geometry, gathered.origins)
    return _of_frames(geometry, intake)


def _experiment(intake: Intake) -> Experiment:
    options = intake.options
    if options.beamline is None:
        raise InputError("--scan-file needs --beamline, which says what its motors are; `cdipipe beamlines` lists them")
    beamline = get_beamline(options.beamline)
    record = _scan_record(intake, beamline)
    return read_experiment(beamline, record, options.given_angles, options.scan_motor)


def _scan_record(intake: Intake, beamline: Beamline) -> ScanRecord | None:
    """The scan in --scan-file; without it in the counts' own file or headers, where the beamline writes it there."""
    options = intake.options
    if options.scan_file is not None:
        return read_scan(options.scan_file, options.scan, beamline)
    if beamline.scan_file.kind == "hdf5" and intake.found.kind in ("hdf5", *HDF5_SUFFIXES):
        return read_scan(str(intake.found.path), options.scan, beamline)
    if options.scan is None and (readings := _in_edf_headers(intake)):
        return ScanRecord(f"the header of {intake.where}", readings)
    if options.scan is not None:
        raise InputError(f"--scan {options.scan} needs --scan-file, the file that holds this scan")
    return None


def _in_edf_headers(intake: Intake) -> dict[str, Reading]:
    """Motors of EDF files of one frame each, a value a file; of many frames in a file only the first has a header."""
    if any(part.kind != "edf" or len(part.array.shape) != 2 for part in intake.parts):
        return {}
    motors = [motors_of_edf(part.header) for part in intake.parts]
    common = set.intersection(*map(set, motors))
    return {name: Reading(np.array([one[name] for one in motors])) for name in sorted(common)}


def _put_over(gathered: Experiment, found: Experiment) -> None:
    """What the scan file says over what the header says; numbers that differ are noted."""
    for name, value in found.fields.items():
        before = gathered.fields.get(name)
        is_default = found.origins.get(name, "").startswith("detector ") or name == "detector"
        if is_default and before is not None and name.startswith("pixel"):
            continue
        if _differ(before, value):
            gathered.notes.append(
                f"{name}: {value:g} of {found.origins[name]} is taken; {gathered.origins[name]} says {before:g}"
            )
        gathered.fields[name] = value
        if name in found.origins:
            gathered.origins[name] = found.origins[name]
    gathered.guesses += found.guesses
    gathered.notes += found.notes


def _differ(before: Any, value: Any) -> bool:
    numbers = isinstance(before, float) and isinstance(value, float)
    return numbers and abs(before - value) > SAME * abs(value)


def _command_line(gathered: Experiment, given: dict[str, Any]) -> None:
    for name, value in given.items():
        before = gathered.fields.get(name)
        if _differ(before, value):
            gathered.notes.append(f"{name}: {value:g} as given is taken; {gathered.origins[name]} says {before:g}")
    gathered.set("the command line", **given)


def _place_region(gathered: Experiment, intake: Intake) -> None:
    """The read-out region of the detector, where the frames have its size."""
    region = gathered.fields.pop("region", None)
    gathered.origins.pop("region", None)
    if region is None or "offset_px" in gathered.fields:
        return
    if intake.source.shape[1:] == (region["height"], region["width"]):
        gathered.fields["offset_px"] = (float(region["y"]), float(region["x"]))


def _fit_scan(gathered: Experiment, intake: Intake, scan_motor: str | None) -> None:
    """Positions for all frames of the files: those of the scan, or by the step about the angle given."""
    total = sum(part.source.shape[0] for part in intake.parts)
    scan, step = gathered.fields.get("scan"), gathered.fields.get("rocking_step_rad")
    stepped = gathered.origins.get("rocking_step_rad") == "the command line"
    if scan is not None and len(scan.positions) != total:
        scan = _middle_of(gathered, scan, total)
    if scan is not None and stepped and scan.unit == "deg":
        degrees = np.degrees(step) * (np.arange(total) - total // 2)
        scan = replace(scan, positions=tuple((scan.positions[total // 2] + degrees).tolist()))
    elif scan is not None:
        gathered.fields.pop("rocking_step_rad", None)
    circles = {circle.name: circle for circle in gathered.fields.get("sample_circles", ())}
    if scan is None and step is not None and scan_motor in circles and total > 1:
        degrees = circles[scan_motor].angle_deg + np.degrees(step) * (np.arange(total) - total // 2)
        scan = Scan(scan_motor, tuple(degrees.tolist()))
        gathered.guesses.append(f"{scan_motor} was scanned, with its angle at the middle frame")
    gathered.set(gathered.origins.get("scan", "the command line"), scan=scan)


def _middle_of(gathered: Experiment, scan: Scan, total: int) -> Scan:
    """Positions of frames that were cut out of a scan, or of more frames than it has: the middles agree."""
    count = len(scan.positions)
    gathered.guesses.append(
        f"{total} frames for {count} positions of {scan.motor}: the frames are taken from the middle of the scan"
    )
    return scan.cut(count // 2 - total // 2, total)


def _made(gathered: Experiment) -> Geometry:
    known = {one.name for one in fields(Geometry)}
    if "scan" in gathered.fields and "rocking_step_rad" in gathered.fields:
        del gathered.fields["rocking_step_rad"]
    return Geometry(**{name: value for name, value in gathered.fields.items() if name in known})


def _of_frames(geometry: Geometry, intake: Intake) -> Geometry:
    order = intake.found.arrangement.source.order
    geometry = geometry.swapped() if order.row > order.column else geometry
    return geometry.of_frames(intake.numbers)


TOLD = {
    "energy_ev": "energy {:g} eV",
    "distance_m": "distance {:g} m",
    "beam_centre_px": "beam centre (row, column) {}",
    "exposure_s": "exposure {:g} s",
}


def _tell(intake: Intake, geometry: Geometry, origins: dict[str, str]) -> None:
    """One line for the numbers and one for the angles, each with where it is from."""
    by_origin: dict[str, list[str]] = {}
    if geometry.pixel_y_m is not None and "pixel_y_m" in origins:
        sides = (
            f"pixels {geometry.pixel_y_m * 1e6:.6g} x {geometry.pixel_x_m * 1e6:.6g} um (row to row x column to column)"
        )
        by_origin.setdefault(origins["pixel_y_m"], []).append(sides)
    for name, text in TOLD.items():
        if (value := getattr(geometry, name)) is not None and name in origins:
            by_origin.setdefault(origins[name], []).append(text.format(value))
    if by_origin:
        parts = [f"{', '.join(texts)} from {origin}" for origin, texts in by_origin.items()]
        intake.account.say("geometry", "; ".join(parts), geometry_from=dict(origins))
    if (scan := geometry.scan) is not None:
        still = [c for c in (*geometry.sample_circles, *geometry.detector_circles) if c.name != scan.motor]
        angles = ", ".join(f"{circle.name} {circle.angle_deg:g}" for circle in still)
        ends = f"{scan.positions[0]:.6g} to {scan.positions[-1]:.6g} {scan.unit} in steps of {scan.step:.4g}"
        intake.account.say("geometry", f"{scan.motor} scanned from {ends}; at {angles or 'unknown angles'} deg")
