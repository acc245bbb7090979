"""A crystal of several reflections for other programs; lengths in nm, axes of the sample."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path

if TYPE_CHECKING:
    from cdipipe.bragg.multipeak import Crystal


def _components(crystal: Crystal) -> dict[str, np.ndarray]:
    """Every component (n, n, n) by its own name, float32."""
    from cdipipe.bragg.multipeak import COMPONENTS

    found = {"density": crystal.density, "inside": crystal.inside.astype(np.float32)}
    found |= {f"displacement_{axis}_nm": crystal.displacement_nm[i] for i, axis in enumerate("xyz")}
    found |= {f"strain_{name}": crystal.strain[at] for name, at in COMPONENTS.items()}
    found |= {f"rotation_{axis}_rad": crystal.rotation_rad[i] for i, axis in enumerate("xyz")}
    return {name: np.asarray(values, np.float32) for name, values in found.items()}


def _npz(path: Path, crystal: Crystal) -> None:
    with path.open("wb") as file:
        np.savez_compressed(file, **_components(crystal), voxel_nm=crystal.grid.voxel_nm)


def _vti(path: Path, crystal: Crystal) -> None:
    pyvista = extras.load("pyvista", f"{path}: this format")
    step = crystal.grid.voxel_nm
    corner = (-(crystal.grid.size // 2) * step,) * 3
    image = pyvista.ImageData(dimensions=crystal.grid.shape, spacing=(step,) * 3, origin=corner)
    for name, values in _components(crystal).items():
        image.point_data[name] = values.ravel(order="F")
    image.field_data["unit"], image.field_data["frame"] = ["nm"], ["sample"]
    image.save(path, binary=True)


WRITERS: dict[str, Callable[[Path, Crystal], None]] = {".vti": _vti, ".npz": _npz}


def export_crystal(path: str | Path, crystal: Crystal) -> None:
    """Write density, displacement, strain tensor and rotation, each component an array (X, Y, Z) by its name.

    Parameters
    ----------
    path : file to write, .vti or .npz; replaced whole or not at all
    crystal : of :func:`cdipipe.bragg.multipeak.fit_crystal` or :func:`cdipipe.bragg.files.read_crystal`

    Raises
    ------
    InputError   another suffix, pyvista is not installed, or the place cannot be written
    """
    kind = Path(path).suffix.lower()
    if kind not in WRITERS:
        raise InputError(f"{path}: a crystal is exported as {', '.join(WRITERS)}; got '{Path(path).suffix}'")
    with atomic_path(path) as part:
        WRITERS[kind](Path(part), crystal)
