"""Goniometer and detector as NeXus describes them: chains of rotations and translations (NXtransformations).

NeXus has the lab frame of :mod:`cdipipe.geometry`. A group or an axis says in ``depends_on`` which axis carries it; the
outermost depends on ".".
"""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from cdipipe.geometry import Circle, Scan
from cdipipe.io.hdf5 import Source, read_attribute
from cdipipe.io.units import unit_of, unit_size

LONGEST_CHAIN = 16
MOST_POSITIONS = 2**20


@dataclass(frozen=True)
class Axis:
    """One axis of a chain: its kind (``rotation``, ``translation`` or empty), direction and values in deg or m."""

    name: str
    kind: str
    vector: np.ndarray
    values: np.ndarray


def read_transformations(source: Source, sample: str | None, detector: str | None) -> dict[str, Any]:
    """Fields of a Geometry that the chains of a sample and of a detector give; nothing where there are none.

    Parameters
    ----------
    sample, detector : paths of the groups NXsample and NXdetector
    """
    found: dict[str, Any] = {}
    turned = _rotations(_chain(source, sample))
    if turned:
        found["sample_circles"] = tuple(_circle(axis) for axis in turned)
        moved = [axis for axis in turned if np.ptp(axis.values) > 0]
        if len(moved) == 1:
            found["scan"] = Scan(_name(moved[0]), tuple(moved[0].values.tolist()))
    directions = _directions(source, detector)
    if directions:
        chain = _chain(source, detector)
        found |= directions | {"detector_circles": tuple(_circle(axis) for axis in _rotations(chain))}
        if (distance := _along_beam(chain)) is not None:
            found["distance_m"] = distance
    return found


def _name(axis: Axis) -> str:
    return axis.name.rpartition("/")[2]


def _circle(axis: Axis) -> Circle:
    return Circle(_name(axis), tuple(axis.vector.tolist()), float(axis.values[len(axis.values) // 2]))


def _rotations(chain: Sequence[Axis]) -> list[Axis]:
    """Rotations of a chain, outermost first."""
    return [axis for axis in reversed(chain) if axis.kind == "rotation"]


def _along_beam(chain: Sequence[Axis]) -> float | None:
    """Length of the only translation along the beam that comes before any rotation of the arm."""
    along = [axis for axis in chain if axis.kind == "translation" and axis.vector[2] ** 2 > 0.99]
    lengths = [axis.values[0] * axis.vector[2] for axis in along]
    return float(lengths[0]) if len(lengths) == 1 and lengths[0] > 0 else None


def _chain(source: Source, group: str | None) -> list[Axis]:
    """Axes from the innermost, which a group depends on, to the outermost; empty where the chain is broken."""
    path = None if group is None else _depends_on_group(source, group)
    axes: list[Axis] = []
    while path is not None and path != "." and len(axes) < LONGEST_CHAIN:
        axis = _axis(source, path)
        if axis is None:
            return []
        axes.append(axis)
        outer = read_attribute(source.get(path), "depends_on")
        path = None if not isinstance(outer, str) else _resolved(outer, posixpath.dirname(path))
    return axes if path == "." else []


def _resolved(name: str, folder: str) -> str:
    name = name.strip()
    return name if name == "." or name.startswith("/") else posixpath.normpath(posixpath.join(folder, name))


def _depends_on_group(source: Source, group: str) -> str | None:
    node = source.get(f"{group}/depends_on")
    if not isinstance(node, h5py.Dataset) or h5py.check_string_dtype(node.dtype) is None or node.size != 1:
        return None
    text = source.text(f"{group}/depends_on")
    if text is None or text.strip() in ("", "."):
        return None
    path = _resolved(text, group)
    inside = f"{group}/transformations/{text.strip()}"
    return path if source.get(path) is not None else inside if source.get(inside) is not None else None


def _axis(source: Source, path: str) -> Axis | None:
    node = source.get(path)
    if not isinstance(node, h5py.Dataset) or node.dtype.kind not in "iuf" or not 0 < (node.size or 0) <= MOST_POSITIONS:
        return None
    kind = str(read_attribute(node, "transformation_type") or "")
    size = unit_size(unit_of(source, path) or ("deg" if kind == "rotation" else "m"), _kind_of_unit(kind))
    vector = _unit_vector(node)
    values = source.array(path, dtype=np.float64).ravel()
    if size is None or vector is None or not np.isfinite(values).all():
        return None
    return Axis(path, kind, vector, values * size)


def _kind_of_unit(kind: str) -> str:
    return "angle" if kind == "rotation" else "length"


def _unit_vector(node: h5py.Dataset) -> np.ndarray | None:
    if "vector" not in node.attrs:
        return None
    attribute = node.attrs.get_id("vector")
    if attribute.shape != (3,) or attribute.dtype.kind not in "iuf":
        return None
    vector = np.asarray(node.attrs["vector"], dtype=np.float64)
    length = np.linalg.norm(vector)
    return vector / length if np.isfinite(length) and length > 0 else None


def _directions(source: Source, detector: str | None) -> dict[str, Any]:
    """Where rows and columns grow, and the pixel sizes, from the first module that says so."""
    for name in source.group_names(detector) if detector is not None else ():
        module = f"{detector}/{name}"
        if not isinstance(source.get(module), h5py.Group):
            continue
        slow, fast = (_axis(source, f"{module}/{which}_pixel_direction") for which in ("slow", "fast"))
        if slow is not None and fast is not None and abs(slow.vector @ fast.vector) < 1e-3:
            return {
                "row_direction": _signed(slow),
                "column_direction": _signed(fast),
                "pixel_y_m": abs(float(slow.values[0])),
                "pixel_x_m": abs(float(fast.values[0])),
            }
    return {}


def _signed(axis: Axis) -> tuple[float, ...]:
    """The way an index grows: along the vector, or against it where the pixel size is negative."""
    return tuple((axis.vector * (1 if axis.values[0] > 0 else -1)).tolist())
