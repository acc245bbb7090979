"""A page of one view, and what a page of several views holds once."""

from __future__ import annotations

import base64
import functools
import importlib.resources
import json
import zlib
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from cdipipe.figures.viewer import surface
from cdipipe.io.atomic import atomic_path

COLOUR_MAPS = ("viridis", "twilight_shifted", "RdBu_r")
HERE = "cdipipe.figures.viewer"


def write_page(path: str | Path, view: dict[str, Any], title: str, command: str = "") -> None:
    """A page that needs no other file and no network.

    Parameters
    ----------
    path : .html file to write
    view : of :func:`cdipipe.figures.viewer.content.object_view` or ``crystal_view``
    title : over the page
    command : that made it, shown at its end
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    text = environment.from_string(_text("viewer.html.j2")).render(
        title=title, view=as_json(view), command=command, **parts(bool(view["surfaces"]))
    )
    with atomic_path(path) as part:
        part.write_text(text, encoding="utf-8")


def parts(has_surfaces: bool) -> dict[str, str]:
    """What a page has once for all of its views: ``style``, ``script``, and JSON of ``shared`` data."""
    shared: dict[str, Any] = {"colours": {name: _colour_map(name) for name in COLOUR_MAPS}}
    if has_surfaces:
        shared["turntable"] = _turntable()
    return {"style": _text("viewer.css"), "script": _text("viewer.js"), "shared": as_json(shared)}


def as_json(data: dict[str, Any]) -> str:
    """Plain data that may stand in a script element."""
    return json.dumps(data, allow_nan=False).replace("</", "<\\/")


def _text(name: str) -> str:
    return importlib.resources.files(HERE).joinpath(name).read_text(encoding="utf-8")


def _colour_map(name: str) -> str:
    """256 times red, green and blue, base64."""
    table = matplotlib.colormaps[name](np.linspace(0, 1, 256), bytes=True)[:, :3]
    return base64.b64encode(table.tobytes()).decode("ascii")


@functools.cache
def _turntable() -> dict[str, str]:
    """The page by which trimesh turns a mesh (three.js inside), packed, and the text in it where the mesh stands."""
    import trimesh
    from trimesh.viewer.notebook import scene_to_html

    triangle = surface.scene(trimesh.Trimesh(np.eye(3), [[0, 1, 2]], process=False))
    mesh = base64.b64encode(triangle.export(file_type="glb")).decode("ascii")
    page = scene_to_html(triangle)
    assert page.count(mesh) == 1, "trimesh has another page than this program knows"
    page = page.replace(mesh, "$MESH")
    return {"page": base64.b64encode(zlib.compress(page.encode(), 9)).decode("ascii"), "mesh": "$MESH"}
