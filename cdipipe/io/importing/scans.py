"""Scan files: motor positions and what was scanned, of SPEC and FIO text (by silx) and of beamlines' HDF5."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from cdipipe.beamlines.record import Beamline
from cdipipe.errors import InputError
from cdipipe.inputs import check_readable
from cdipipe.io.hdf5 import Source, open_source
from cdipipe.io.importing.files import HDF5_SUFFIXES
from cdipipe.io.importing.scan_text import few, read_scan_text
from cdipipe.io.units import text_of, unit_of

MOST_TEXT_BYTES = 2**28
MOST_POINTS = 2**22


@dataclass(frozen=True)
class Reading:
    """One motor or counter: a number, or one for each point of the scan, and the unit that the file gives it."""

    values: np.ndarray
    unit: str | None = None

    @property
    def moved(self) -> bool:
        """Whether there are several values, and not all of them the same."""
        return self.values.size > 1 and bool(np.ptp(self.values) > 0)

    @property
    def middle(self) -> float:
        return float(np.median(self.values))


@dataclass(frozen=True)
class ScanRecord:
    """What a scan file says of one scan.

    Parameters
    ----------
    where : file and scan, for messages
    readings : motors and counters by every name that the file has for them
    command : what was typed to scan, if the file has it
    headers : further lines of the scan's header
    """

    where: str
    readings: Mapping[str, Reading]
    command: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def find(self, names: Sequence[str]) -> Reading | None:
        """What the file has under these names, whatever the case: the first that moved, else the first."""
        lower = {name.lower(): reading for name, reading in reversed(self.readings.items())}
        found = [self.readings.get(name, lower.get(name.lower())) for name in names]
        found = [reading for reading in found if reading is not None]
        return next((reading for reading in found if reading.moved), found[0] if found else None)

    def names_in_command(self) -> list[str]:
        """Words of the command that may be motors, in order and in lower case."""
        return [word.lower() for word in re.findall(r"[A-Za-z_][\w.-]*", self.command)[1:]]


def read_scan(name: str, number: int | None, beamline: Beamline) -> ScanRecord:
    """One scan of a SPEC, FIO or HDF5 file; which of them it is, the suffix or the beamline says.

    Parameters
    ----------
    name : file
    number : of the scan; may be left out where the file holds one
    beamline : says what motors are called and where HDF5 files keep them

    Raises
    ------
    InputError   no such file or scan, or the file is damaged: one line that lists the scans
    """
    path = Path(name)
    suffix = path.suffix.lower().lstrip(".")
    check_readable(path)
    with open(path, "rb") as file:
        start = file.read(4096)
    if suffix in (*HDF5_SUFFIXES, "cxi") or start.startswith(b"\x89HDF"):
        return _read_hdf5(path, number, beamline)
    if path.stat().st_size > MOST_TEXT_BYTES:
        raise InputError(f"{path}: has {path.stat().st_size} bytes, more than any scan file's text")
    if suffix == "fio" or re.search(rb"^%[cpd]\s*$", start, re.MULTILINE):
        return _read_text("fio", path, number)
    return _read_text("spec", path, number)


def _read_text(kind: str, path: Path, number: int | None) -> ScanRecord:
    found = read_scan_text(kind, path, number)
    readings = {name: Reading(np.array([place], dtype=float)) for name, place in found["motors"].items()}
    readings |= {name: Reading(np.array(values, dtype=float)) for name, values in found["columns"].items() if values}
    where = str(path) if found["number"] is None else f"{path} scan {found['number']}"
    return ScanRecord(where, _finite(readings), found["command"], found["headers"])


def _finite(readings: Mapping[str, Reading]) -> dict[str, Reading]:
    return {name: reading for name, reading in readings.items() if np.isfinite(reading.values).all()}


def _read_hdf5(path: Path, number: int | None, beamline: Beamline) -> ScanRecord:
    layout = beamline.scan_file
    if layout.kind != "hdf5":
        raise InputError(f"--scan-file {path}: {beamline.name} keeps its scans in {layout.kind.upper()} files")
    with open_source(path) as source:
        entry = _entry(source, layout.entries, number, path)
        readings = {}
        for name in _wanted_names(beamline):
            if (reading := _hdf5_reading(source, entry, layout.positions, name)) is not None:
                readings[name] = reading
        command = next((text for place in layout.command for text in _texts(source, f"{entry}/{place}")), "")
        scanned = next(filter(None, (_hdf5_value(source, f"{entry}/{place}") for place in layout.scanned)), None)
        named = [node for place in layout.detector for node in _matches(source, f"{entry}/{place}", "")]
    if scanned is not None:
        readings = _assign_scanned(readings, scanned, command, beamline)
    detectors = [found for node in named if (found := beamline.detector_called(node.rpartition("/")[2]))]
    headers = {"detector": detectors[0]} if detectors else {}
    return ScanRecord(f"{path} {entry}", _finite(readings), command, headers)


def _wanted_names(beamline: Beamline) -> Iterator[str]:
    for circle in (*beamline.sample, *beamline.arm):
        yield from circle.names
    for quantity in (beamline.energy, beamline.distance, beamline.exposure):
        yield from quantity.motors if quantity else ()


def _entry(source: Source, patterns: Sequence[str], number: int | None, path: Path) -> str:
    groups = source.group_names("/")
    for pattern in patterns:
        if "{scan" in pattern and number is None:
            continue
        found = fnmatch.filter(groups, pattern.format(scan=number) if "{scan" in pattern else pattern)
        if found:
            return f"/{found[0]}"
    if number is None:
        raise InputError(f"{path}: say which scan with --scan; there are {few(groups)}")
    raise InputError(f"--scan {number}: {path} has no such scan; there are {few(groups)}")


def _matches(source: Source, pattern: str, motor: str) -> list[str]:
    """Paths in the file for a pattern, in which ``*`` stands for any text of one name."""
    found = [""]
    for part in pattern.replace("{motor}", motor).strip("/").split("/"):
        if "*" in part:
            bounded = re.compile(fnmatch.translate(part))
            found = [
                f"{parent}/{name}"
                for parent in found
                for name in source.group_names(parent or "/")
                if bounded.match(name) and (not motor or _as_word(motor, name))
            ]
        else:
            found = [f"{parent}/{part}" for parent in found]
    return found


def _as_word(motor: str, name: str) -> bool:
    """Whether a name holds the motor's as a word of its own, if at all: mu in med-mu.1, not in simulator."""
    return motor not in name or re.search(rf"(?<![A-Za-z]){re.escape(motor)}(?![A-Za-z])", name) is not None


def _hdf5_reading(source: Source, entry: str, patterns: Sequence[str], motor: str) -> Reading | None:
    """The first place where the motor moved, else the first where it has a value."""
    still = None
    for pattern in patterns:
        for name in _matches(source, f"{entry}/{pattern}", motor):
            reading = _hdf5_value(source, name)
            if reading is not None and reading.moved:
                return reading
            still = still or reading
    return still


def _hdf5_value(source: Source, name: str) -> Reading | None:
    node = source.get(name)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iuf" or not node.shape is not None:
        return None
    if node.ndim > 1 or not 0 < node.size <= MOST_POINTS:
        return None
    return Reading(np.atleast_1d(source.array(name, dtype=np.float64)), unit_of(source, name))


def _texts(source: Source, name: str) -> Iterator[str]:
    node = source.get(name)
    if (
        isinstance(node, h5py.Dataset)
        and h5py.check_string_dtype(node.dtype)
        and node.size == 1
        and not node.is_virtual
    ):
        yield text_of(node[()]) or ""


def _assign_scanned(
    readings: dict[str, Reading], scanned: Reading, command: str, beamline: Beamline
) -> dict[str, Reading]:
    """Give the nameless positions to the circle that the command names, else to the usual one."""
    circles = {circle.name: circle for circle in beamline.sample}
    named = [c.name for c in beamline.sample if any(name.lower() in command.lower() for name in c.names)]
    chosen = next(iter(named or beamline.rocking or circles), None)
    if chosen is None or any(readings[name].moved for name in readings):
        return readings
    return {**readings, **dict.fromkeys(circles[chosen].names, scanned)}
