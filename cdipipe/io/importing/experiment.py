"""A Bragg experiment's geometry from a scan file, as a beamline's record reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from cdipipe.beamlines.record import Beamline, CircleEntry, QuantityEntry
from cdipipe.errors import InputError
from cdipipe.geometry import Scan
from cdipipe.io.importing.headers import Key, in_units
from cdipipe.io.importing.scans import Reading, ScanRecord
from cdipipe.io.units import unit_size
from cdipipe.optics.diffraction import ENERGY_MOTOR

KINDS = {"energy_ev": "energy", "distance_m": "length", "exposure_s": "time"}


@dataclass
class Experiment:
    """Fields of a Geometry, where each is from, and what the user should know.

    Parameters
    ----------
    fields : by their names in :class:`cdipipe.geometry.Geometry`
    origins : where each field is from, for people
    guesses, notes : lines of the account
    """

    fields: dict[str, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    guesses: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def set(self, origin: str, **fields: Any) -> None:
        """Put values over what is there; None changes nothing."""
        for name, value in fields.items():
            if value is not None:
                self.fields[name], self.origins[name] = value, origin


def read_experiment(
    beamline: Beamline, record: ScanRecord | None, angles: Mapping[str, float], scan_motor: str | None
) -> Experiment:
    """What a beamline's record makes of a scan.

    Parameters
    ----------
    record : None: only what the beamline itself says
    angles : degrees by circle or motor, over those of the record
    scan_motor : circle or motor that was scanned, over what the record says

    Raises
    ------
    InputError   an angle or the scanned motor belongs to no circle of this beamline
    """
    found = Experiment()
    if unknown := set(angles) - {name for circle in (*beamline.sample, *beamline.arm) for name in circle.names}:
        names = ", ".join(circle.name for circle in (*beamline.sample, *beamline.arm))
        raise InputError(f"--angles {sorted(unknown)[0]}: no circle of {beamline.name}; it has {names}")
    where = record.where if record is not None else f"beamline {beamline.name}"
    found.set(f"beamline {beamline.name}", beamline=beamline.name)
    _set_detector(found, beamline, record)
    if record is not None:
        _set_quantities(found, beamline, record)
    _set_circles(found, beamline, record, angles, where)
    _set_scan(found, beamline, record, scan_motor, where)
    return found


def _set_detector(found: Experiment, beamline: Beamline, record: ScanRecord | None) -> None:
    named = [record.headers.get(key) for key in ("detector", *beamline.scan_file.detector)] if record else []
    name = next(filter(None, map(beamline.detector_called, named)), None)
    origin = record.where if record is not None and name else f"beamline {beamline.name}"
    if name is None:
        name = beamline.default_detector
        found.guesses.append(f"the detector is the beamline's usual one, {name}")
    entry = beamline.detectors[name]
    found.set(origin, detector=name)
    found.set(f"detector {name} of {beamline.name}", pixel_y_m=entry.pixel_m[0], pixel_x_m=entry.pixel_m[1])
    found.set(f"detector {name} of {beamline.name}", row_direction=entry.rows, column_direction=entry.columns)
    if record is not None and beamline.region is not None:
        _set_region(found, beamline, record)


def _set_region(found: Experiment, beamline: Beamline, record: ScanRecord) -> None:
    numbers = re.findall(r"-?\d+", record.headers.get(beamline.region.header, ""))[:4]
    if len(numbers) == 4:
        region = dict(zip(beamline.region.order, map(int, numbers), strict=True))
        found.set(record.where, region=region)


def _set_quantities(found: Experiment, beamline: Beamline, record: ScanRecord) -> None:
    for name, entry in (
        ("energy_ev", beamline.energy),
        ("distance_m", beamline.distance),
        ("exposure_s", beamline.exposure),
    ):
        reading = None if entry is None else record.find(entry.motors)
        if reading is not None and reading.middle > 0:
            found.set(record.where, **{name: _in_si(name, entry, reading)})


def _in_si(name: str, entry: QuantityEntry, reading: Reading) -> float | None:
    """In m, eV or s; the file's own unit wins over the beamline's, and of the two an implausible one loses."""
    units = f"{reading.unit or ''} {entry.unit} {'eV keV' if name == 'energy_ev' else ''}"
    return in_units(reading.middle, units, Key(name, KINDS[name], units))


def _set_circles(
    found: Experiment, beamline: Beamline, record: ScanRecord | None, angles: Mapping[str, float], where: str
) -> None:
    """Where every circle stood; a scanned one is put where its scan says later."""
    for field_name, entries in (("sample_circles", beamline.sample), ("detector_circles", beamline.arm)):
        places = {entry.name: _angle_deg(entry, record, angles) for entry in entries}
        if unknown := [name for name, angle in places.items() if angle is None]:
            found.notes.append(
                f"{where} does not say where {', '.join(unknown)} stood: the geometry is not complete; "
                f"--angles {','.join(f'{name}=DEGREES' for name in unknown)}"
            )
        else:
            found.set(where, **{field_name: tuple(entry.circle(places[entry.name]) for entry in entries)})


def _angle_deg(entry: CircleEntry, record: ScanRecord | None, angles: Mapping[str, float]) -> float | None:
    """Degrees about the circle's axis; None where nobody says."""
    given = next((angles[name] for name in entry.names if name in angles), None)
    if given is not None:
        return entry.angle_deg(given)
    reading = None if record is None else record.find(entry.names)
    return entry.absent_deg if reading is None else float(np.median(_degrees(entry, reading)))


def _degrees(entry: CircleEntry, reading: Reading) -> np.ndarray:
    """All angles about the circle's axis."""
    size = unit_size(reading.unit or "deg", "angle") or 1.0
    return np.array([entry.angle_deg(value * size) for value in reading.values])


def _set_scan(found: Experiment, beamline: Beamline, record: ScanRecord | None, wanted: str | None, where: str) -> None:
    if wanted is not None and not any(wanted in circle.names for circle in beamline.sample):
        names = ", ".join(circle.name for circle in beamline.sample)
        raise InputError(f"--scan-motor {wanted}: no circle of the sample at {beamline.name}; it has {names}")
    if record is None:
        named = next((circle for circle in beamline.sample if wanted in circle.names), None)
        found.fields["scan_motor"] = named.name if named else next(iter(beamline.rocking), None)
        return
    moving = {entry.name: entry for entry in beamline.sample if _moved(record, entry.names)}
    energy = beamline.energy is not None and _moved(record, beamline.energy.motors)
    chosen = _choose(beamline, record, list(moving), wanted)
    if chosen is not None:
        entry = moving[chosen]
        found.set(where, scan=Scan(chosen, tuple(_degrees(entry, record.find(entry.names)).tolist())))
    elif energy:
        reading = record.find(beamline.energy.motors)
        size = _in_si("energy_ev", beamline.energy, reading) / reading.middle
        found.set(where, scan=Scan(ENERGY_MOTOR, tuple((reading.values * size).tolist()), "eV"))
    else:
        _set_commanded(found, beamline, record)


def _moved(record: ScanRecord, names: Any) -> bool:
    reading = record.find(tuple(names))
    return reading is not None and reading.moved


def _choose(beamline: Beamline, record: ScanRecord, moving: list[str], wanted: str | None) -> str | None:
    """The scanned circle among those that moved: as wanted, as the command says, as is usual there."""
    entries = {entry.name: entry for entry in beamline.sample}
    if wanted is not None:
        return next((name for name in moving if wanted in entries[name].names), None)
    for word in record.names_in_command():
        for name in moving:
            if word in [alias.lower() for alias in entries[name].names]:
                return name
    return next((name for name in beamline.rocking if name in moving), moving[0] if len(moving) == 1 else None)


def _set_commanded(found: Experiment, beamline: Beamline, record: ScanRecord) -> None:
    """Positions from the command alone: ``ascan th 0.1 0.6 100 1``."""
    words = record.command.replace(",", " ").replace("(", " ").replace(")", " ").split()
    for entry in beamline.sample:
        places = [index for index, word in enumerate(words) if word in entry.names]
        numbers = words[places[0] + 1 : places[0] + 4] if places else []
        if len(numbers) == 3 and all(re.fullmatch(r"[-+.\deE]+", number) for number in numbers):
            first, last, steps = float(numbers[0]), float(numbers[1]), int(float(numbers[2]))
            start = record.find(entry.names)
            relative = words[0].startswith("d") or words[0] == "lup"
            base = start.middle if relative and start is not None else 0.0
            if 0 < steps < 10**6 and first != last:
                angles = entry.angle_deg(1.0) - entry.angle_deg(0.0), entry.angle_deg(base)
                positions = angles[1] + angles[0] * np.linspace(first, last, steps + 1)
                found.set(record.where, scan=Scan(entry.name, tuple(positions.tolist())))
                found.guesses.append(f"positions of {entry.name} are those of the command '{record.command}'")
                return
