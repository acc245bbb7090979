"""Geometry in the headers of images: CBF and TIFF of Pilatus and Eiger (mini-header), full CBF, EDF."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cdipipe.geometry import PLANCK_TIMES_C_EV_M
from cdipipe.io.importing.plausible import RANGES, doubt
from cdipipe.io.units import scaled, unit_size

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
QUANTITY = re.compile(rf"({NUMBER})\s*[_ ]?\s*\[?([A-Za-zµμÅ°]+)?")


@dataclass(frozen=True)
class Key:
    """One entry of a header: which field of the geometry it is, and its unit where the header gives none.

    Of several units, the first that makes the number plausible.
    """

    field: str
    kind: str
    units: str


MINI_HEADER = {
    "wavelength": Key("wavelength_m", "length", "A"),
    "x_ray_wavelength": Key("wavelength_m", "length", "A"),
    "energy": Key("energy_ev", "energy", "eV keV"),
    "photon_energy": Key("energy_ev", "energy", "eV keV"),
    "incident_energy": Key("energy_ev", "energy", "eV keV"),
    "detector_distance": Key("distance_m", "length", "m"),
    "exposure_time": Key("exposure_s", "time", "s"),
}
"""Lines ``# Key value unit`` of DECTRIS's mini-header, keys in lower case with underscores."""

FULL_CBF = {
    "_diffrn_radiation_wavelength.wavelength": Key("wavelength_m", "length", "A"),
    "_diffrn_measurement.sample_detector_distance": Key("distance_m", "length", "mm"),
    "_diffrn_scan_frame.integration_time": Key("exposure_s", "time", "s"),
}

EDF = {
    "psize_1": Key("pixel_x_m", "length", "m"),
    "psize_2": Key("pixel_y_m", "length", "m"),
    "pixel_size_x": Key("pixel_x_m", "length", "um"),
    "pixel_size_y": Key("pixel_y_m", "length", "um"),
    "pixelsize_x": Key("pixel_x_m", "length", "um"),
    "pixelsize_y": Key("pixel_y_m", "length", "um"),
    "sampledistance": Key("distance_m", "length", "m mm"),
    "detector_distance": Key("distance_m", "length", "m mm"),
    "wavelength": Key("wavelength_m", "length", "m A"),
    "energy": Key("energy_ev", "energy", "keV eV"),
    "exposuretime": Key("exposure_s", "time", "s"),
    "exposure_time": Key("exposure_s", "time", "s"),
    "acq_expo_time": Key("exposure_s", "time", "s"),
    "count_time": Key("exposure_s", "time", "s"),
}


def read_header(kind: str, header: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a Geometry that an image header gives.

    Parameters
    ----------
    kind : ``edf``, ``cbf`` or ``tif``
    header : keys and texts; a value may hold a whole mini-header

    Returns
    -------
    dict of field name -> number or (row, column); ``wavelength_m`` has become ``energy_ev``
    """
    found: dict[str, Any] = {}
    if kind == "edf":
        found |= _keyed(header, EDF)
        found |= _edf_centre(header)
    else:
        found |= _keyed(header, FULL_CBF)
        for text in map(str, header.values()):
            found |= _mini_header(text)
    wavelength = found.pop("wavelength_m", None)
    if wavelength is not None and "energy_ev" not in found:
        found["energy_ev"] = PLANCK_TIMES_C_EV_M / wavelength
    return {name: value for name, value in found.items() if value is not None and np.isfinite(value).all()}


def motors_of_edf(header: Mapping[str, Any]) -> dict[str, float]:
    """Positions of motors and counters by mnemonic, as SPEC and BLISS write them into EDF headers."""
    lower = {str(key).lower(): str(value) for key, value in header.items()}
    motors: dict[str, float] = {}
    for names, places in (("motor_mne", "motor_pos"), ("counter_mne", "counter_pos")):
        pairs = zip(lower.get(names, "").split(), lower.get(places, "").split(), strict=False)
        motors |= {name: float(place) for name, place in pairs if re.fullmatch(NUMBER, place)}
    return motors


def _keyed(header: Mapping[str, Any], keys: Mapping[str, Key]) -> dict[str, float]:
    found = {}
    for name, value in header.items():
        key = keys.get(str(name).strip().lower())
        if key is not None and (number := _in_unit(str(value), key)) is not None:
            found[key.field] = number
    return found


def _in_unit(text: str, key: Key) -> float | None:
    """The first number of a text with its unit, in m, eV or s; None unless it is positive and its unit is known."""
    match = QUANTITY.match(text.strip())
    if match is None:
        return None
    return in_units(float(match.group(1)), match.group(2) or key.units, key)


def in_units(number: float, units: str, key: Key) -> float | None:
    """A number in the first of these units (with blanks between) that makes it plausible, in m, eV or s."""
    sizes = [size for unit in units.split() if (size := unit_size(unit, key.kind)) is not None]
    values = [scaled(number, size) for size in sizes if 0 < number * size < float("inf")]
    believed = [value for value in values if key.field not in RANGES or doubt(key.field, value) is None]
    return next(iter(believed or values), None)


def _edf_centre(header: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    lower = {str(key).strip().lower(): str(value) for key, value in header.items()}
    places = [QUANTITY.match(lower.get(name, "").strip()) for name in ("center_2", "center_1")]
    if None in places or any(place.group(2) not in (None, "pixel", "pixels") for place in places):
        return {}
    return {"beam_centre_px": tuple(float(place.group(1)) for place in places)}


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        match = re.match(r"#\s*([A-Za-z][\w -]*?)\s*[:= ]\s*(\(?[-+.\d].*)$", line.strip())
        if match:
            yield re.sub(r"[\s-]+", "_", match.group(1).strip().lower()), match.group(2)


def _mini_header(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in _lines(text):
        if (key := MINI_HEADER.get(name)) is not None:
            found[key.field] = _in_unit(value, key)
        elif name == "pixel_size":
            found |= _pixels(value)
        elif name == "beam_xy" and (places := re.findall(NUMBER, value))[:2]:
            found |= {"beam_centre_px": (float(places[1]), float(places[0]))} if len(places) > 1 else {}
    return found


def _pixels(text: str) -> dict[str, float | None]:
    """``172e-6 m x 172e-6 m``: across, down."""
    across, _, down = text.partition("x")
    key = Key("", "length", "m")
    return {"pixel_x_m": _in_unit(across, key), "pixel_y_m": _in_unit(down or across, key)}
