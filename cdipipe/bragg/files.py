"""Strain in CXI files.

==========================  ==============================================================================
``/entry_1/image_1``        the object without ramp and offset, on its own grid; ``support`` is the crystal
``/entry_1/strain_1``       ``inside bulk vortex phase displacement strain`` on that grid, ``ramp``,
                            ``numbers``, ``facets``, ``choices`` and ``notes`` (JSON)
``/entry_1/orthogonal_1``   ``amplitude inside bulk phase displacement strain`` (X, Y, Z), ``voxel_size``,
                            ``origin``, ``axes`` (rows x, y, z in the lab frame), ``frame``
==========================  ==============================================================================

Lengths are in metres in the file, as everywhere in CXI, and in nm in memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from cdipipe.bragg.fields import Fields
from cdipipe.bragg.grid import Orthogonal
from cdipipe.bragg.strain import Strain
from cdipipe.errors import InputError
from cdipipe.io.cxi import layout
from cdipipe.io.cxi.geometry import read_geometry, write_geometry
from cdipipe.io.cxi.image import read_image, write_image
from cdipipe.io.hdf5 import Source, create_file, open_source
from cdipipe.optics.bragg_frame import bragg_frame

if TYPE_CHECKING:
    from cdipipe.bragg.multipeak import Crystal

NM = 1e-9
OWN, GRID, CRYSTAL = "/entry_1/strain_1", "/entry_1/orthogonal_1", "/entry_1/crystal_1"
UNITS = {"phase": "rad", "displacement": "m", "strain": "1"}


def write_strain(path: str | Path, result: Strain) -> None:
    """Write displacement and strain, whole or not at all.

    Parameters
    ----------
    path : CXI file to write
    result : of :func:`cdipipe.bragg.strain.analyse`

    Raises
    ------
    InputError, OSError   the place cannot be written, or the disk is full; nothing is left behind
    """
    with create_file(path) as file:
        entry = layout.write_header(file, "strain", result.provenance)
        write_geometry(entry, result.geometry)
        fields, grid = result.fields, result.orthogonal
        write_image(entry, fields.object, fields.inside, "volume")
        own = layout.make_group(entry, "strain_1", "NXdata")
        _write_fields(own, fields)
        layout.write_array(own, "vortex", fields.vortex.astype(np.uint8))
        layout.write_small(own, "ramp", np.asarray(fields.ramp, np.float64))
        layout.write_json(own, "numbers", result.numbers)
        layout.write_json(own, "choices", result.choices)
        layout.write_json(own, "facets", {"facets": [_without_nan(facet) for facet in result.facets]})
        layout.write_json(own, "notes", {"notes": list(result.notes)})
        placed = layout.make_group(entry, "orthogonal_1", "NXdata")
        layout.write_attributes(placed, signal="strain")
        _write_fields(placed, grid)
        layout.write_array(placed, "amplitude", grid.amplitude)
        layout.write_number(placed, "voxel_size", grid.voxel_nm * NM)
        layout.write_small(placed, "origin", np.asarray(grid.origin_nm, np.float64) * NM)
        layout.write_small(placed, "axes", np.asarray(grid.axes, np.float64))
        layout.write_text(placed, "frame", grid.frame)


def _write_fields(group: h5py.Group, fields: Fields | Orthogonal) -> None:
    for name in ("inside", "bulk"):
        layout.write_array(group, name, getattr(fields, name).astype(np.uint8))
    values = {"phase": fields.phase, "displacement": fields.displacement_nm * NM, "strain": fields.strain}
    for name, array in values.items():
        stored = layout.write_array(group, name, np.asarray(array, np.float32))
        layout.write_attributes(stored, units=UNITS[name])


def write_crystal(path: str | Path, crystal: Crystal, provenance: dict[str, Any]) -> None:
    """Write a crystal of several reflections, whole or not at all: ``/entry_1/crystal_1``, in the sample's frame.

    ``density``, ``inside``, ``displacement`` (x, y, z in front), ``strain`` (xx, yy, zz, xy, xz, yz in front),
    ``rotation`` (rad), ``voxel_size``; ``numbers``, ``r_factors``, ``started`` and ``notes`` as JSON.

    Parameters
    ----------
    path : CXI file to write
    crystal : of :func:`cdipipe.bragg.multipeak.fit_crystal`
    provenance : what made it, as plain data

    Raises
    ------
    InputError, OSError   the place cannot be written, or the disk is full; nothing is left behind
    """
    from cdipipe.bragg.multipeak import COMPONENTS

    with create_file(path) as file:
        entry = layout.write_header(file, "crystal", provenance)
        group = layout.make_group(entry, "crystal_1", "NXdata")
        layout.write_attributes(group, signal="density")
        layout.write_array(group, "density", np.asarray(crystal.density, np.float32))
        layout.write_array(group, "inside", crystal.inside.astype(np.uint8))
        tensor = np.stack([crystal.strain[i, j] for i, j in COMPONENTS.values()])
        arrays = {"displacement": crystal.displacement_nm * NM, "strain": tensor, "rotation": crystal.rotation_rad}
        for name, unit in (("displacement", "m"), ("strain", "1"), ("rotation", "rad")):
            stored = layout.write_array(group, name, np.asarray(arrays[name], np.float32))
            layout.write_attributes(stored, units=unit)
        layout.write_number(group, "voxel_size", crystal.grid.voxel_nm * NM)
        plain = {"r_factors": crystal.r_factors, "started": crystal.started, "notes": crystal.notes}
        layout.write_json(group, "numbers", {**crystal.numbers, **{name: list(v) for name, v in plain.items()}})


def read_strain(path: str | Path) -> Strain:
    """Read displacement and strain.

    Parameters
    ----------
    path : CXI file that :func:`write_strain` wrote

    Raises
    ------
    InputError   the file is of another kind, or its arrays do not fit each other
    """
    with open_source(path) as source:
        if layout.read_kind(source) != "strain":
            kind = layout.read_kind(source) or "file of another tool"
            raise InputError(f"{path}: holds a {kind}; expected what `cdipipe strain` writes")
        object_, _, _ = read_image(source)
        geometry = read_geometry(source)
        own = _read_fields(source, OWN, object_.shape)
        vortex = _array(source, f"{OWN}/vortex", object_.shape) > 0
        ramp = _array(source, f"{OWN}/ramp", (3,)).astype(np.float64)
        fields = Fields(object_, vortex=vortex, ramp=ramp, frame=bragg_frame(geometry, object_.shape), **own)
        return Strain(
            fields=fields,
            orthogonal=_read_grid(source),
            numbers=_numbers(source),
            facets=tuple(facet for facet in _listed(source, "facets") if isinstance(facet, dict)),
            notes=tuple(map(str, _listed(source, "notes"))),
            geometry=geometry,
            choices=layout.read_json(source, f"{OWN}/choices"),
            provenance=layout.read_provenance(source),
        )


def read_crystal(path: str | Path) -> Crystal:
    """Read a crystal of several reflections.

    Parameters
    ----------
    path : CXI file that :func:`write_crystal` wrote

    Raises
    ------
    InputError   the file is of another kind, or its arrays do not fit each other
    """
    from cdipipe.bragg.multipeak import COMPONENTS, Crystal
    from cdipipe.bragg.several import SampleGrid

    with open_source(path) as source:
        if layout.read_kind(source) != "crystal":
            kind = layout.read_kind(source) or "file of another tool"
            raise InputError(f"{path}: holds a {kind}; expected what `cdipipe multipeak` writes")
        density = _array(source, f"{CRYSTAL}/density")
        shape = density.shape
        if len(set(shape)) != 1 or len(shape) != 3:
            raise InputError(f"{source.where(CRYSTAL)}: expected a cube of voxels; got {shape}")
        stored = _array(source, f"{CRYSTAL}/strain", (len(COMPONENTS), *shape))
        strain = np.empty((3, 3, *shape), np.float32)
        for (i, j), values in zip(COMPONENTS.values(), stored, strict=True):
            strain[i, j] = strain[j, i] = values
        told = layout.read_json(source, f"{CRYSTAL}/numbers")
        return Crystal(
            density=density,
            inside=_array(source, f"{CRYSTAL}/inside", shape) > 0,
            displacement_nm=_array(source, f"{CRYSTAL}/displacement", (3, *shape)) / NM,
            strain=strain,
            rotation_rad=_array(source, f"{CRYSTAL}/rotation", (3, *shape)),
            grid=SampleGrid(shape[0], float(_array(source, f"{CRYSTAL}/voxel_size", ())) / NM),
            **{name: tuple(told.pop(name, ())) for name in ("r_factors", "started", "notes")},
            numbers=told,
        )


def _without_nan(facet: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in facet.items()}


def _listed(source: Source, name: str) -> list[Any]:
    found = layout.read_json(source, f"{OWN}/{name}").get(name, [])
    return found if isinstance(found, list) else []


def _array(source: Source, name: str, shape: tuple[int, ...] | None = None) -> np.ndarray:
    values = source.array(name)
    if values is None or (shape is not None and values.shape != shape):
        raise InputError(f"{source.where(name)}: expected an array of shape {shape or '(X, Y, Z)'}")
    return values


def _read_fields(source: Source, group: str, shape: tuple[int, ...]) -> dict[str, Any]:
    masks = {name: _array(source, f"{group}/{name}", shape) > 0 for name in ("inside", "bulk")}
    values = {name: _array(source, f"{group}/{name}", shape) for name in ("phase", "strain")}
    return masks | values | {"displacement_nm": _array(source, f"{group}/displacement", shape) / NM}


def _read_grid(source: Source) -> Orthogonal:
    amplitude = _array(source, f"{GRID}/amplitude")
    if amplitude.ndim != 3:
        raise InputError(f"{source.where(GRID)}: expected fields of three axes; got {amplitude.shape}")
    return Orthogonal(
        amplitude=amplitude,
        **_read_fields(source, GRID, amplitude.shape),
        voxel_nm=float(_array(source, f"{GRID}/voxel_size", ())) / NM,
        origin_nm=_array(source, f"{GRID}/origin", (3,)) / NM,
        axes=_array(source, f"{GRID}/axes", (3, 3)),
        frame=source.text(f"{GRID}/frame") or "",
    )


def _numbers(source: Source) -> dict[str, float]:
    found = layout.read_json(source, f"{OWN}/numbers")
    return {str(name): float(value) for name, value in found.items() if isinstance(value, (int, float))}
