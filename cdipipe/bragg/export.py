"""Strain for other programs; lengths in nm."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cdipipe import extras
from cdipipe.bragg.strain import Strain
from cdipipe.bragg.surface import surface_of
from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path

FIELDS = ("amplitude", "phase", "displacement_nm", "strain", "inside")


def _arrays(result: Strain) -> dict[str, np.ndarray]:
    grid = result.orthogonal
    return {name: np.asarray(getattr(grid, name), np.float32) for name in FIELDS}


def write_npz(path: str | Path, result: Strain) -> None:
    """The orthogonal fields (X, Y, Z), ``voxel_nm``, ``origin_nm`` and ``axes`` as a compressed npz.

    Parameters
    ----------
    path : ``.npz`` to write; replaced whole or not at all
    result : of :func:`cdipipe.bragg.strain.analyse` or :func:`cdipipe.bragg.files.read_strain`

    Raises
    ------
    InputError   the place cannot be written
    """
    grid = result.orthogonal
    with atomic_path(path) as part:
        np.savez_compressed(part, **_arrays(result), voxel_nm=grid.voxel_nm, origin_nm=grid.origin_nm, axes=grid.axes)


def write_tif(path: str | Path, result: Strain) -> None:
    """Float32 pages (Z, field, Y, X), as ImageJ reads them; the voxel in nm.

    Parameters
    ----------
    path : ``.tif`` to write; replaced whole or not at all
    result : of :func:`cdipipe.bragg.strain.analyse` or :func:`cdipipe.bragg.files.read_strain`

    Raises
    ------
    InputError   the place cannot be written
    """
    import tifffile

    stacked = np.stack([array.transpose(2, 1, 0) for array in _arrays(result).values()], axis=1)
    voxel = result.orthogonal.voxel_nm
    facts = {"unit": "nm", "spacing": voxel, "Labels": list(FIELDS) * stacked.shape[0]}
    with atomic_path(path) as part:
        tifffile.imwrite(part, stacked, imagej=True, resolution=(1 / voxel, 1 / voxel), metadata=facts)


def write_vti(path: str | Path, result: Strain) -> None:
    """VTK image data in nm, for ParaView: the fields on points of the orthogonal grid.

    Parameters
    ----------
    path : ``.vti`` to write; replaced whole or not at all
    result : of :func:`cdipipe.bragg.strain.analyse` or :func:`cdipipe.bragg.files.read_strain`

    Raises
    ------
    InputError   pyvista is not installed, or the place cannot be written
    """
    pyvista = _pyvista(path)
    grid = result.orthogonal
    image = pyvista.ImageData(
        dimensions=grid.inside.shape, spacing=(grid.voxel_nm,) * 3, origin=tuple(map(float, grid.origin_nm))
    )
    for name, array in _arrays(result).items():
        image.point_data[name] = array.ravel(order="F")
    image.field_data["unit"] = ["nm"]
    image.field_data["frame"] = [grid.frame]
    with atomic_path(path) as part:
        image.save(part, binary=True)


def write_vtu(path: str | Path, result: Strain) -> None:
    """The surface as a VTK unstructured grid in nm, with strain, displacement and phase a voxel beneath it.

    Parameters
    ----------
    path : ``.vtu`` to write; replaced whole or not at all
    result : of :func:`cdipipe.bragg.strain.analyse` or :func:`cdipipe.bragg.files.read_strain`; its choices say where
        the surface is

    Raises
    ------
    InputError   pyvista is not installed, or the place cannot be written
    """
    pyvista = _pyvista(path)
    surface = surface_of(result.orthogonal, result.choices.get("surface", 0.5))
    cells = np.column_stack([np.full(len(surface.faces), 3), surface.faces]).ravel()
    kinds = np.full(len(surface.faces), pyvista.CellType.TRIANGLE)
    mesh = pyvista.UnstructuredGrid(cells, kinds, surface.vertices_nm)
    for name in ("strain", "displacement_nm", "phase"):
        mesh.point_data[name] = getattr(surface, name)
    mesh.field_data["unit"] = ["nm"]
    with atomic_path(path) as part:
        mesh.save(part, binary=True)


def _pyvista(path: str | Path):
    return extras.load("pyvista", f"{path}: this format")


WRITERS = {".vti": write_vti, ".vtu": write_vtu, ".npz": write_npz, ".tif": write_tif}


def export_strain(path: str | Path, result: Strain) -> None:
    """Write in the format of the suffix: .vti, .vtu, .npz or .tif.

    Parameters
    ----------
    path : file to write; its suffix says how
    result : of :func:`cdipipe.bragg.strain.analyse` or :func:`cdipipe.bragg.files.read_strain`

    Raises
    ------
    InputError   another suffix, or pyvista is not installed
    """
    kind = Path(path).suffix.lower()
    if kind not in WRITERS:
        raise InputError(f"{path}: strain is exported as {', '.join(WRITERS)}; got '{Path(path).suffix}'")
    WRITERS[kind](path, result)
