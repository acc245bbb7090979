"""The geometry of an experiment in a CXI file: in fields of CXI or NeXus where there are any, else in ``geometry_1``.

=======================  =========================================================================================
``instrument_1``         ``name`` (beamline)
``source_1``             ``energy`` (J), ``wavelength`` (m)
``detector_1``           ``distance``, ``x_pixel_size``, ``y_pixel_size`` (m), ``beam_center_x``, ``beam_center_y``
                         (pixels), ``count_time`` (s), ``local_name``, ``basis_vectors`` (3, 2) (m: from row to row,
                         from column to column, as the detector stood), ``rocking_step`` (rad)
``.../transformations``  NXtransformations of ``detector_1`` and ``sample_1``: one dataset per circle in degrees, of a
                         scanned one all its positions, with ``vector`` and ``depends_on`` (outermost: ".")
``geometry_1``           ``row_direction``, ``column_direction``, ``window_offset``, ``window_binning`` (row, column);
                         ``scan_motor``, ``scan_positions`` with their unit
=======================  =========================================================================================
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.geometry import PLANCK_TIMES_C_EV_M, Circle, Geometry, Scan
from cdipipe.io.cxi import layout
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.io.units import JOULE_PER_EV, read_quantity, unit_of, unit_size
from cdipipe.optics.diffraction import pixel_steps_m, rotation_of

SAMPLE_GROUP = "/entry_1/sample_1"
GEOMETRY_GROUP = "/entry_1/geometry_1"
MOST_CIRCLES = 16


def write_geometry(entry: h5py.Group, geometry: Geometry) -> h5py.Group:
    """Write source, detector, circles and scan in SI units, and return the detector's group."""
    instrument = layout.make_group(entry, "instrument_1", "NXinstrument")
    if geometry.beamline:
        layout.write_text(instrument, "name", geometry.beamline)
    light = layout.make_group(instrument, "source_1", "NXsource")
    if geometry.energy_ev is not None:
        layout.write_number(light, "energy", geometry.energy_ev * JOULE_PER_EV)
        layout.write_number(light, "wavelength", geometry.wavelength_m)
    detector = layout.make_group(instrument, "detector_1", "NXdetector")
    _write_detector(detector, geometry)
    if geometry.sample_circles:
        _write_circles(layout.make_group(entry, "sample_1", "NXsample"), geometry.sample_circles, geometry.scan)
    _write_rest(entry, geometry)
    return detector


def _write_detector(detector: h5py.Group, geometry: Geometry) -> None:
    numbers = {"distance": geometry.distance_m, "x_pixel_size": geometry.pixel_x_m, "y_pixel_size": geometry.pixel_y_m}
    numbers |= {"rocking_step": geometry.rocking_step_rad, "count_time": geometry.exposure_s}
    for name, value in numbers.items():
        layout.write_number(detector, name, value)
    if geometry.beam_centre_px is not None:
        for name, place in zip(("beam_center_y", "beam_center_x"), geometry.beam_centre_px, strict=True):
            layout.write_attributes(layout.write_small(detector, name, np.float64(place)), units="pixel")
    if geometry.detector:
        layout.write_text(detector, "local_name", geometry.detector)
    if (steps := pixel_steps_m(geometry)) is not None:
        layout.write_small(detector, "basis_vectors", steps)
    if geometry.detector_circles:
        _write_circles(detector, geometry.detector_circles, None)


def _write_circles(parent: h5py.Group, circles: tuple[Circle, ...], scan: Scan | None) -> None:
    """The chain of rotations, outermost first, each depending on the one that carries it."""
    group, outer = layout.make_group(parent, "transformations", "NXtransformations"), "."
    for circle in circles:
        scanned = scan is not None and scan.motor == circle.name and scan.unit == "deg"
        stored = layout.write_small(group, circle.name, np.asarray(scan.positions if scanned else circle.angle_deg))
        layout.write_attributes(stored, transformation_type="rotation", units="deg", depends_on=outer)
        stored.attrs["vector"] = np.asarray(circle.axis)
        outer = circle.name
    layout.write_text(parent, "depends_on", f"transformations/{outer}")


def _write_rest(entry: h5py.Group, geometry: Geometry) -> None:
    vectors = {"row_direction": geometry.row_direction, "column_direction": geometry.column_direction}
    vectors |= {"window_offset": geometry.offset_px} if any(geometry.offset_px) else {}
    vectors |= {"window_binning": geometry.binning} if geometry.binning != (1, 1) else {}
    known = {name: value for name, value in vectors.items() if value is not None}
    if not known and geometry.scan is None:
        return
    group = layout.make_group(entry, "geometry_1", "NXcollection")
    for name, value in known.items():
        layout.write_small(group, name, np.asarray(value, dtype=np.float64))
    if geometry.scan is not None:
        layout.write_text(group, "scan_motor", geometry.scan.motor)
        stored = layout.write_small(group, "scan_positions", np.asarray(geometry.scan.positions, dtype=np.float64))
        layout.write_attributes(stored, units=geometry.scan.unit)


def read_geometry(source: Source) -> Geometry:
    """Geometry of a CXI file of this or another tool, with the units that it gives.

    What is absent, zero or of an unknown unit is unknown; so is an energy that cannot be in joules.

    Raises
    ------
    InputError   what is there contradicts itself, or is no geometry
    """
    try:
        detector = _read_detector(source)
        detector |= _read_arm(source, detector)
        return Geometry(energy_ev=_read_energy_ev(source), **detector, **_read_rest(source))
    except InputError as error:
        raise InputError(f"{source.path}: {error}") from None


def _read_energy_ev(source: Source) -> float | None:
    energy_ev = read_quantity(source, f"{layout.SOURCE_GROUP}/energy", "energy", "J")
    if energy_ev is not None and 1e-6 < energy_ev < 1e10:
        return energy_ev
    wavelength_m = read_quantity(source, f"{layout.SOURCE_GROUP}/wavelength", "length", "m")
    if wavelength_m is not None and 1e-15 < wavelength_m < 1e-2:
        return PLANCK_TIMES_C_EV_M / wavelength_m
    return None


def _read_detector(source: Source) -> dict[str, Any]:
    group = layout.DETECTOR_GROUP
    known = {
        "distance_m": read_quantity(source, f"{group}/distance", "length", "m"),
        "pixel_y_m": read_quantity(source, f"{group}/y_pixel_size", "length", "m"),
        "pixel_x_m": read_quantity(source, f"{group}/x_pixel_size", "length", "m"),
        "rocking_step_rad": source.number(f"{group}/rocking_step", signed=True),
        "exposure_s": read_quantity(source, f"{group}/count_time", "time", "s"),
        "beam_centre_px": _read_beam_centre(source),
        "detector": _short_text(source, f"{group}/local_name"),
        "beamline": _short_text(source, "/entry_1/instrument_1/name"),
    }
    if known["pixel_y_m"] is None and known["pixel_x_m"] is None and (steps := _basis_vectors(source)) is not None:
        known["pixel_y_m"], known["pixel_x_m"] = (float(f"{length:.7g}") for length in np.linalg.norm(steps, axis=0))
    if known["pixel_y_m"] is None:
        known["pixel_y_m"] = known["pixel_x_m"]
    return known


def _short_text(source: Source, name: str) -> str | None:
    node = source.get(name)
    return source.text(name) if isinstance(node, h5py.Dataset) and h5py.check_string_dtype(node.dtype) else None


def _read_beam_centre(source: Source) -> tuple[float, float] | None:
    """Row and column in pixels; NeXus also allows a length, which is none here."""
    names = [f"{layout.DETECTOR_GROUP}/beam_center_{axis}" for axis in "yx"]
    units = [(unit_of(source, name) or "pixel").lower() for name in names]
    places = [source.number(name, signed=True) for name in names]
    if None in places or any(unit not in ("pixel", "pixels", "px") for unit in units):
        return None
    return tuple(places)


def _vector(source: Source, name: str, size: int) -> np.ndarray | None:
    node = source.get(name)
    if not isinstance(node, h5py.Dataset) or node.shape != (size,) or node.dtype.kind not in "iuf":
        return None
    values = source.array(name, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"{name} holds values that are not finite")
    return values


def _read_arm(source: Source, detector: dict[str, Any]) -> dict[str, Any]:
    """How rows and columns lie, and the circles that carried the detector."""
    row, column = (_vector(source, f"{GEOMETRY_GROUP}/{name}_direction", 3) for name in ("row", "column"))
    if row is None and column is None and layout.read_kind(source) is None:
        return _arm_of_another_tool(source, detector)
    return {
        "row_direction": None if row is None else tuple(row.tolist()),
        "column_direction": None if column is None else tuple(column.tolist()),
        "detector_circles": _read_circles(source, layout.DETECTOR_GROUP),
    }


def _arm_of_another_tool(source: Source, detector: dict[str, Any]) -> dict[str, Any]:
    """Directions from CXI's ``basis_vectors``: steps from row to row and from column to column, as columns or as rows.

    A detector that does not stand across the beam gets two circles, about y and -x, that carry it there.
    """
    steps = _basis_vectors(source)
    if steps is None:
        return {}
    directions = steps / np.linalg.norm(steps, axis=0)
    if abs(directions[:, 0] @ directions[:, 1]) > 1e-3:
        return {}
    normal = np.cross(directions[:, 0], directions[:, 1])
    normal *= 1 if normal[2] >= 0 else -1
    circles = _circles_towards(normal)
    row, column = (rotation_of(circles).T @ directions).T
    arm = {"row_direction": _tidy(row), "column_direction": _tidy(column), "detector_circles": circles}
    return arm | _place_of_corner(source, detector, directions, normal)


def _place_of_corner(
    source: Source, detector: dict[str, Any], directions: np.ndarray, normal: np.ndarray
) -> dict[str, Any]:
    """Distance and beam centre from CXI's ``corner_position``, that of the outer corner of the first pixel, in m."""
    names = [f"{layout.DETECTOR_GROUP}/{name}" for name in ("corner_position", "corner_positions")]
    corner = next((place for name in names if (place := _vector(source, name, 3)) is not None), None)
    pixels = (detector["pixel_y_m"], detector["pixel_x_m"] or detector["pixel_y_m"])
    if corner is None or None in pixels or corner @ normal <= 0:
        return {}
    centre = tuple(float(-(corner @ directions[:, axis]) / pixels[axis] - 0.5) for axis in (0, 1))
    distance = detector["distance_m"] or float(corner @ normal)
    return {"distance_m": distance, "beam_centre_px": detector["beam_centre_px"] or centre}


def _circles_towards(normal: np.ndarray) -> tuple[Circle, ...]:
    if np.hypot(normal[0], normal[1]) < 1e-6:
        return ()
    across = float(np.degrees(np.arctan2(normal[0], normal[2])))
    up = float(np.degrees(np.arcsin(np.clip(normal[1], -1, 1))))
    return Circle("about_y", (0, 1, 0), across), Circle("about_minus_x", (-1, 0, 0), up)


def _tidy(vector: np.ndarray) -> tuple[float, float, float]:
    """Without the rounding of the file's numbers: -0.99999998 is -1."""
    rounded = np.round(vector, 6) + 0.0
    return tuple((rounded / np.linalg.norm(rounded)).tolist())


def _basis_vectors(source: Source) -> np.ndarray | None:
    """(3, 2), metres: of frames that each have their own, those of the first."""
    name = f"{layout.DETECTOR_GROUP}/basis_vectors"
    node = source.get(name)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iuf" or not 6 <= (node.size or 0) <= 2**20:
        return None
    values = source.array(name, dtype=np.float64)
    values = values.reshape(-1, *values.shape[-2:])[0] if values.ndim >= 2 else values
    values = values.T if values.shape == (2, 3) else values
    usable = values.shape == (3, 2) and np.isfinite(values).all() and (np.linalg.norm(values, axis=0) > 0).all()
    return values if usable else None


def _read_rest(source: Source) -> dict[str, Any]:
    offset, binning = (_vector(source, f"{GEOMETRY_GROUP}/window_{name}", 2) for name in ("offset", "binning"))
    return {
        "offset_px": (0.0, 0.0) if offset is None else tuple(offset.tolist()),
        "binning": (1, 1) if binning is None else tuple(int(size) for size in binning),
        "sample_circles": _read_circles(source, SAMPLE_GROUP),
        "scan": _read_scan(source),
    }


def _read_scan(source: Source) -> Scan | None:
    name = f"{GEOMETRY_GROUP}/scan_positions"
    node = source.get(name)
    if not isinstance(node, h5py.Dataset) or node.ndim != 1 or node.dtype.kind not in "iuf":
        return None
    motor = _short_text(source, f"{GEOMETRY_GROUP}/scan_motor")
    unit = unit_of(source, name)
    return Scan(motor or "unknown", tuple(source.array(name, dtype=np.float64).tolist()), unit or "deg")


def _read_circles(source: Source, parent: str) -> tuple[Circle, ...]:
    """The chain of rotations, outermost first; circles of a scan stand where its middle is."""
    found: dict[str, tuple[str, Circle]] = {}
    for name in source.group_names(f"{parent}/transformations")[:MOST_CIRCLES]:
        dataset = source.dataset(f"{parent}/transformations/{name}")
        if dataset is None or read_attribute(dataset, "transformation_type") != "rotation":
            continue
        angles = source.array(f"{parent}/transformations/{name}", dtype=np.float64)
        vector = _vector_attribute(dataset)
        size = unit_size(unit_of(source, f"{parent}/transformations/{name}") or "deg", "angle")
        if vector is not None and size is not None and angles.ndim <= 1 and angles.size:
            angle_deg = size * float(angles.ravel()[angles.size // 2])
            found[str(read_attribute(dataset, "depends_on"))] = (name, Circle(name, vector, angle_deg))
    chain, outer = [], "."
    while outer in found:
        outer, circle = found.pop(outer)
        chain.append(circle)
    return tuple(chain)


def _vector_attribute(dataset: h5py.Dataset) -> tuple[float, ...] | None:
    if "vector" not in dataset.attrs:
        return None
    attribute = dataset.attrs.get_id("vector")
    if attribute.shape != (3,) or attribute.dtype.kind not in "iuf":
        return None
    return tuple(np.asarray(dataset.attrs["vector"], dtype=np.float64).tolist())
