"""Geometry in HDF5 files of beamlines: NeXus and NXmx, master files of DECTRIS, ESRF BLISS."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any

import h5py

from cdipipe.geometry import PLANCK_TIMES_C_EV_M
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.io.importing.headers import Key, in_units
from cdipipe.io.importing.transformations import read_transformations
from cdipipe.io.units import unit_of

DETECTOR_FIELDS = {
    "distance_m": (("distance", "detector_distance", "sample_detector_distance"), "length", "m mm"),
    "pixel_y_m": (("y_pixel_size", "pixel_size_y"), "length", "m um"),
    "pixel_x_m": (("x_pixel_size", "pixel_size_x"), "length", "m um"),
    "exposure_s": (("count_time", "exposure_time", "acq_exposure_time", "frame_time"), "time", "s"),
}
LIGHT_FIELDS = {
    "energy_ev": (("incident_energy", "energy", "Energy", "photon_energy"), "energy", "eV keV"),
    "wavelength_m": (("incident_wavelength", "wavelength"), "length", "A m"),
}
LIGHT_CLASSES = ("NXbeam", "NXmonochromator")
LIGHT_NAMES = ("beam", "monochromator", "Monochromator")
DEEPEST = 3
MOST_GROUPS = 2000
PIXELS = ("pixel", "pixels", "px", "")


def read_nexus(source: Source, data: str | None, entry: str | None) -> tuple[dict[str, Any], list[str]]:
    """Fields of a Geometry that the file gives, and notes on numbers whose unit is a guess.

    Parameters
    ----------
    data : path of the patterns, or of their detector's group
    entry : path of the entry they belong to; None: the first part of ``data``, else the whole file
    """
    entry = entry or _first_part(data) or "/"
    groups = list(_groups(source, entry))
    detector = _detector(source, data, groups)
    found, notes = _read_detector(source, detector)
    light, more = _read_light(source, groups)
    return {**light, **read_transformations(source, _sample(source, groups), detector), **found}, notes + more


def _sample(source: Source, groups: list[str]) -> str | None:
    classes = [path for path in groups if nexus_class(source, path) == "NXsample"]
    return next(iter(classes or [path for path in groups if path.endswith("/sample")]), None)


def _first_part(path: str | None) -> str | None:
    parts = [part for part in (path or "").split("/") if part]
    return f"/{parts[0]}" if len(parts) > 1 else None


def nexus_class(source: Source, path: str) -> str:
    """``NX_class`` of a group; empty where it has none."""
    node = source.get(path)
    return str(read_attribute(node, "NX_class") or "") if isinstance(node, h5py.Group) else ""


def _groups(source: Source, top: str) -> Iterator[str]:
    """Groups at and below a path, nearest first."""
    level, seen = [top], 0
    for _ in range(DEEPEST + 1):
        deeper = []
        for path in level:
            yield path
            for name in source.group_names(path):
                seen += 1
                below = posixpath.join(path, name)
                if seen < MOST_GROUPS and _is_group(source, path, name):
                    deeper.append(below)
        level = deeper


def _is_group(source: Source, parent: str, name: str) -> bool:
    """Whether a member is a group of this file: links to other files, such as blocks of frames, stay closed."""
    node = source.get(parent)
    is_here = isinstance(node.get(name, getlink=True), h5py.HardLink)
    return is_here and node.get(name, getclass=True) is h5py.Group


def _detector(source: Source, data: str | None, groups: list[str]) -> str | None:
    """The group that holds the patterns, if it is a detector's, else the only or first detector."""
    parts = (data or "").rstrip("/")
    while parts:
        if nexus_class(source, parts) == "NXdetector":
            return parts
        parts = parts.rpartition("/")[0]
    classes = [path for path in groups if nexus_class(source, path) == "NXdetector"]
    named = [path for path in groups if path.rpartition("/")[2].startswith("detector")]
    return next(iter(classes or named), None)


def _read_detector(source: Source, group: str | None) -> tuple[dict[str, Any], list[str]]:
    if group is None:
        return {}, []
    found, notes = _read_fields(source, [group], DETECTOR_FIELDS)
    centre = _beam_centre(source, group, found)
    if centre is not None:
        found["beam_centre_px"] = centre
    return found, notes


def _beam_centre(source: Source, group: str, found: dict[str, Any]) -> tuple[float, float] | None:
    """Row and column in pixels; where the file has lengths, by the pixel size."""
    places = []
    for axis in "yx":
        name = f"{group}/beam_center_{axis}"
        place, unit = source.number(name, signed=True), (unit_of(source, name) or "").lower()
        if place is None:
            return None
        if unit not in PIXELS:
            length, pixel = in_units(abs(place), unit, Key("", "length", unit)), found.get(f"pixel_{axis}_m")
            if length is None or pixel is None:
                return None
            place = length / pixel
        places.append(place)
    return tuple(places)


def _read_light(source: Source, groups: list[str]) -> tuple[dict[str, Any], list[str]]:
    lights = [p for p in groups if nexus_class(source, p) in LIGHT_CLASSES or p.rpartition("/")[2] in LIGHT_NAMES]
    lights += [path for path in groups if path.endswith("/detectorSpecific")]
    found, notes = _read_fields(source, lights, LIGHT_FIELDS)
    wavelength = found.pop("wavelength_m", None)
    if wavelength is not None and "energy_ev" not in found:
        found["energy_ev"] = PLANCK_TIMES_C_EV_M / wavelength
    return found, notes


def _read_fields(source: Source, groups: list[str], fields: dict) -> tuple[dict[str, Any], list[str]]:
    """The first of each field's names in the first group that has it."""
    found: dict[str, Any] = {}
    notes: list[str] = []
    for field, (names, kind, units) in fields.items():
        for path in (f"{group}/{name}" for group in groups for name in names):
            value = source.number(path)
            if value is None or field in found:
                continue
            unit = unit_of(source, path)
            number = in_units(value, unit or units, Key(field, kind, units))
            if number is None:
                notes.append(f"{source.where(path)}: {value:g} in '{unit}', which is no unit of {kind}: left out")
                continue
            if not unit and len(units.split()) > 1 and number != value:
                notes.append(f"{source.where(path)}: {value:g} without a unit was taken as {number:g} {field[-2:]}")
            found[field] = number
    return found, notes
