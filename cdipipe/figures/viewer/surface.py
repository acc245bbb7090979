"""Surfaces for the browser: where an amplitude falls to half, coloured by what lies a voxel beneath, as glTF."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np

from cdipipe.bragg.strain import Strain
from cdipipe.figures.canvas import HIDDEN
from cdipipe.figures.objects import phase_limit

HALF, BENEATH_VOXELS = 0.5, 1.5
OF_CRYSTALS = (("displacement_nm", "displacement along Q", "pm", 1e3), ("strain", "strain along Q", "× 10⁻⁴", 1e4))
"""Quantities of a strained crystal: name, title, unit, and the factor to it."""
MATT = (0.5, 0.5, 0.5, 1.0)
"""The turntable's lamp is brighter than white: with this the side that faces it has the colours of the scale."""
SMALLEST = 3
"""Sides of an object that has a surface to see."""


def of_object(values: np.ndarray, steps: list[float]) -> list[dict[str, Any]]:
    """The surface of a volume, coloured by phase; none of an object too small to have one.

    Parameters
    ----------
    values : (D, H, W) complex
    steps : lengths of a voxel along the axes z, y, x
    """
    from scipy.ndimage import map_coordinates
    from skimage.measure import marching_cubes

    amplitude = np.pad(np.abs(values), 1)
    typical = float(np.median(amplitude[amplitude > HALF * amplitude.max()])) if amplitude.any() else 0.0
    if min(values.shape) < SMALLEST or not typical:
        return []
    places, faces, inward, _ = marching_cubes(amplitude, HALF * typical, gradient_direction="descent")
    places = places - 1
    inward = -inward / np.maximum(np.linalg.norm(inward, axis=1, keepdims=True), 1e-12)
    beneath = (places + BENEATH_VOXELS * inward).T
    read = [map_coordinates(part, beneath, order=1, mode="nearest") for part in (values.real, values.imag)]
    span = phase_limit(values)
    colours = "twilight_shifted" if span == np.pi else "RdBu_r"
    return [_coloured("phase", "rad", places * steps, faces, np.arctan2(read[1], read[0]), span, colours)]


def of_crystal(crystal: Strain) -> list[dict[str, Any]]:
    """The surface of a crystal, coloured by strain and by displacement."""
    from cdipipe.bragg.surface import surface_of

    found = surface_of(crystal.orthogonal, crystal.choices.get("surface", HALF))
    views = []
    for name, title, unit, factor in OF_CRYSTALS[::-1]:
        values = getattr(found, name) * factor
        known = np.abs(values[np.isfinite(values)])
        largest = (float(np.quantile(known, 0.99)) if known.size else 1.0) or 1.0
        views.append(_coloured(title, unit, found.vertices_nm[:, ::-1], found.faces, values, largest, "RdBu_r"))
    return views


def _coloured(title, unit, corners, faces, values, largest: float, colours: str) -> dict[str, Any]:
    """A mesh with a colour on every corner; ``corners`` (N, 3) are z, y, x, and rows of pictures run down."""
    import matplotlib
    import trimesh

    shades = matplotlib.colormaps[colours].with_extremes(bad=HIDDEN)
    rgba = shades((np.ma.masked_invalid(values) + largest) / (2 * largest), bytes=True)
    turned = np.column_stack([corners[:, 2], -corners[:, 1], -corners[:, 0]]).astype(np.float32)
    dull = trimesh.visual.material.PBRMaterial(metallicFactor=0.0, roughnessFactor=1.0, baseColorFactor=MATT)
    looks = trimesh.visual.TextureVisuals(material=dull)
    looks.vertex_attributes["color"] = rgba
    mesh = trimesh.Trimesh(turned, faces, visual=looks, process=False)
    content = io.BytesIO()
    scene(mesh).export(content, file_type="glb")
    return {
        "title": title, "unit": unit, "limits": [-largest, largest], "colours": colours,
        "data": base64.b64encode(content.getvalue()).decode("ascii"),
    }  # fmt: skip


def scene(mesh) -> Any:
    """A scene of one mesh, with the camera that the page's turntable asks for."""
    import trimesh

    found = trimesh.Scene(mesh)
    assert found.camera is not None
    return found
