"""What a scene adds to CXI files: probe modes, static region, known support and frame times; and further truth."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi import layout
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.measurement import Measurement

MODES_PATH = "/entry_1/illumination_1/probe_modes"
STATIC_GROUP = "/entry_1/static_region_1"
SUPPORT_PATH = "/entry_1/object_support"
TIMES_PATH = "/entry_1/frame_times"
EXTRA_GROUP = "/entry_1/extra_1"
PLAIN = "plain"


def write_scene(entry: h5py.Group, measurement: Measurement) -> None:
    """Write the probe modes, static region, known support and frame times that a measurement has."""
    if measurement.probe_modes is not None:
        modes = np.asarray(measurement.probe_modes, dtype=np.complex64)
        layout.write_array(layout.make_group(entry, "illumination_1", "NXcollection"), "probe_modes", modes)
    if (support := measurement.known_static_support) is not None:
        group = layout.make_group(entry, "static_region_1", "NXcollection")
        layout.write_array(group, "support", np.asarray(support, dtype=np.uint8))
        if measurement.static_region is not None:
            layout.write_array(group, "object", np.asarray(measurement.static_region, dtype=np.complex64))
    if measurement.object_support is not None:
        layout.write_array(entry, "object_support", np.asarray(measurement.object_support, dtype=np.uint8))
    if measurement.frame_times_s is not None:
        times = layout.write_array(entry, "frame_times", np.asarray(measurement.frame_times_s, dtype=np.float64))
        layout.write_attributes(times, units="s")


def _finite(source: Source, name: str, axes: tuple[int, ...], what: str) -> np.ndarray | None:
    values = source.array(name, "complex", np.complex64)
    if values is not None and (values.ndim not in axes or not np.isfinite(values).all()):
        raise InputError(f"{source.where(name)}: should be finite, {what}; got shape {values.shape}")
    return values


def read_scene(source: Source) -> dict[str, Any]:
    """Arguments of Measurement that :func:`write_scene` stored; None for what is absent."""
    support = source.array(f"{STATIC_GROUP}/support", "bool")
    of_object = source.array(SUPPORT_PATH, "bool")
    times = source.array(TIMES_PATH, dtype=np.float64)
    if times is not None and (times.ndim != 1 or not np.isfinite(times).all()):
        raise InputError(f"{source.where(TIMES_PATH)}: should be finite, (T,); got shape {times.shape}")
    return {
        "probe_modes": _finite(source, MODES_PATH, (3,), "(M, H, W)"),
        "static_region": _finite(source, f"{STATIC_GROUP}/object", (2, 3), "(H, W) or (N, H, W)"),
        "static_support": None if support is None else support > 0,
        "frame_times_s": times,
        "object_support": None if of_object is None else of_object > 0,
    }


def write_extra(entry: h5py.Group, extra: dict[str, Any]) -> None:
    """Write further truth: arrays as datasets of their names, plain data together as one JSON text."""
    if not extra:
        return
    group = layout.make_group(entry, "extra_1", "NXcollection")
    arrays = {
        name: value for name, value in extra.items() if isinstance(value, np.ndarray) and value.ndim and value.size
    }
    for name, value in arrays.items():
        if name == PLAIN or "/" in name:
            raise ValueError(f"extra truth cannot be called '{name}'")
        stored = layout.write_array(group, name, value.astype(np.uint8) if value.dtype == bool else value)
        if value.dtype == bool:
            layout.write_attributes(stored, type="bool")
    layout.write_json(group, PLAIN, {name: value for name, value in extra.items() if name not in arrays})


def read_extra(source: Source) -> dict[str, Any]:
    """Inverse of :func:`write_extra`; empty if there is none."""
    extra: dict[str, Any] = {}
    for name in source.group_names(EXTRA_GROUP):
        path = f"{EXTRA_GROUP}/{name}"
        if name != PLAIN and (dataset := source.dataset(path)) is not None:
            values = source.array(path, "complex")
            extra[name] = values > 0 if read_attribute(dataset, "type") == "bool" else values
    return extra | layout.read_json(source, f"{EXTRA_GROUP}/{PLAIN}")
