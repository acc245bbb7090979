"""Pictures of a strained crystal: slices in nanometres, histograms, profiles, facets, rendered surfaces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cdipipe import extras
from cdipipe.bragg.strain import Strain
from cdipipe.bragg.surface import Surface, surface_of
from cdipipe.errors import InputError
from cdipipe.figures.canvas import DOTS_PER_INCH, HIDDEN, LINES, Picture, new_figure
from cdipipe.io.atomic import atomic_path

AXES = "xyz"
PLANES = ((0, 1, 2), (0, 2, 1), (1, 2, 0))
"""Across, up and through of the three slices: xy, xz, yz."""

SHOWN_SHARE = 0.99
"""Colours span this share of the voxels of the bulk; the rest is at the ends."""


@dataclass(frozen=True)
class Quantity:
    """What is drawn of a crystal: its name, its colours, and the factor to the unit of its label."""

    name: str
    label: str
    factor: float
    colours: str
    symmetric: bool


QUANTITIES = (
    Quantity("amplitude", "amplitude", 1.0, "viridis", False),
    Quantity("displacement_nm", "displacement along Q (pm)", 1e3, "RdBu_r", True),
    Quantity("strain", "strain along Q (1e-4)", 1e4, "RdBu_r", True),
)


def strain_figure(result: Strain) -> Figure:
    """Amplitude, displacement and strain in three orthogonal planes through the middle of the crystal, in nm.

    Each quantity has one colour scale for its three planes; what is outside, or has no value, is grey.
    """
    grid = result.orthogonal
    middle = _middle(grid.inside)
    figure, axes = new_figure(len(QUANTITIES), 3, 3.0, 2.7)
    figure.get_layout_engine().set(rect=(0.02, 0.0, 0.98, 1.0))  # labels of the left panels else leave the figure
    for row, quantity in zip(axes, QUANTITIES, strict=True):
        values = getattr(grid, quantity.name) * quantity.factor
        shown = np.where(grid.inside, values, np.nan) if quantity.symmetric else values
        limits = _limits(values[grid.bulk], quantity)
        for ax, plane in zip(row, PLANES, strict=True):
            artist = _show_plane(ax, shown, plane, middle, grid, limits, quantity.colours)
        figure.colorbar(artist, ax=list(row), fraction=0.02, pad=0.01, label=quantity.label)
    figure.suptitle(f"{_title(result)}, {grid.frame} frame{', z along Q' if grid.frame == 'crystal' else ''}")
    return figure


def _middle(inside: np.ndarray) -> tuple[int, ...]:
    return tuple(round(float(places.mean())) for places in np.nonzero(inside))


def _title(result: Strain) -> str:
    return f"{result.numbers['diameter_nm']:.0f} nm, planes {result.numbers['d_spacing_nm']:.5f} nm apart"


def _limits(values: np.ndarray, quantity: Quantity) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    if not values.size:
        return (-1.0, 1.0) if quantity.symmetric else (0.0, 1.0)
    largest = float(np.quantile(np.abs(values), SHOWN_SHARE)) or 1.0
    return (-largest, largest) if quantity.symmetric else (0.0, largest)


def _show_plane(ax: Axes, values, plane, middle, grid, limits, colours):
    across, up, through = plane
    image = np.take(values, middle[through], axis=through)
    image = image.T if across < up else image
    step = grid.voxel_nm
    low = [grid.origin_nm[axis] - step / 2 for axis in (across, up)]
    high = [start + step * values.shape[axis] for start, axis in zip(low, (across, up), strict=True)]
    ax.set_facecolor(HIDDEN)
    extent = (low[0], high[0], low[1], high[1])
    artist = ax.imshow(image, extent=extent, origin="lower", cmap=colours, vmin=limits[0], vmax=limits[1])
    ax.set_xlabel(f"{AXES[across]} (nm)", labelpad=1)
    ax.set_ylabel(f"{AXES[up]} (nm)", labelpad=1)
    return artist


def strain_details_figure(result: Strain) -> Figure:
    """Histograms of strain, profiles of displacement and strain, and the facets on a stereographic projection."""
    figure, axes = new_figure(2, 2, 4.2, 3.3)
    _show_histogram(axes[0, 0], result)
    _show_facets(axes[0, 1], result)
    for ax, quantity in zip(axes[1], QUANTITIES[1:], strict=True):
        _show_profiles(ax, result, quantity)
    figure.suptitle(_title(result))
    return figure


def _show_histogram(ax: Axes, result: Strain) -> None:
    fields = result.fields  # on the object's own grid, as the numbers are
    surface = fields.inside & ~fields.bulk
    limit = _limits(fields.strain[fields.inside] * 1e4, QUANTITIES[2])[1] * 1.2
    edges = np.linspace(-limit, limit, 61)
    for mask, name, colour in ((fields.bulk, "bulk", LINES[0]), (surface, "surface", LINES[1])):
        values = fields.strain[mask & np.isfinite(fields.strain)] * 1e4
        if values.size:
            label = f"{name}: mean {values.mean():.2g}, rms {np.sqrt(np.mean(values**2)):.2g}"
            weights = np.full(values.size, 1 / values.size)
            ax.hist(values, edges, weights=weights, histtype="step", color=colour, label=label)
    ax.set_xlabel(QUANTITIES[2].label)
    ax.set_ylabel("share of voxels")
    ax.set_ylim(0, 1.3 * ax.get_ylim()[1])  # room for the legend
    ax.legend()


def _show_profiles(ax: Axes, result: Strain, quantity: Quantity) -> None:
    for axis, (places, values) in enumerate(profiles(result, quantity.name)):
        ax.plot(places, values * quantity.factor, color=LINES[axis], label=f"along {AXES[axis]}", lw=1.2)
    ax.set_xlabel("nm from the middle")
    ax.set_ylabel(quantity.label)
    ax.legend()


def profiles(result: Strain, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Values of a field along x, y and z through the middle of the crystal: (places in nm, values), NaN outside."""
    grid = result.orthogonal
    middle = _middle(grid.inside)
    values = np.where(grid.inside, getattr(grid, name), np.nan)
    found = []
    for axis in range(3):
        line = values[tuple(slice(None) if a == axis else middle[a] for a in range(3))]
        found.append(((np.arange(line.size) - middle[axis]) * grid.voxel_nm, line))
    return found


def _show_facets(ax: Axes, result: Strain) -> None:
    """Normals on a stereographic projection, from above and from below; areas by size, mean strain by colour."""
    ax.set_aspect("equal")
    ax.axis("off")
    circle = np.linspace(0, 2 * np.pi, 200)
    for middle, name in ((0.0, "z up"), (2.4, "z down")):
        ax.plot(middle + np.cos(circle), np.sin(circle), color=HIDDEN, lw=1)
        ax.text(middle, -1.25, name, ha="center", fontsize=8)
    ax.set_title("facets (stereographic)")
    if not result.facets:
        ax.text(1.2, 0, "none found", ha="center")
        return
    strains = np.array([np.nan if f["mean_strain"] is None else f["mean_strain"] for f in result.facets]) * 1e4
    limit = (float(np.nanmax(np.abs(strains))) if np.isfinite(strains).any() else 1.0) or 1.0
    areas = np.array([facet["area_nm2"] for facet in result.facets])
    normals = np.array([facet["normal"] for facet in result.facets])
    places = normals[:, :2] / (1 + np.abs(normals[:, 2:]))
    places[normals[:, 2] < 0, 0] += 2.4
    style = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit, "edgecolors": "black", "linewidths": 0.8}
    artist = ax.scatter(*places.T, s=20 + 180 * areas / areas.max(), c=strains, **style)
    for place, facet in zip(places, result.facets, strict=True):
        if facet["hkl"] is not None:
            ax.annotate(_plane(facet["hkl"]), place, xytext=(6, 5), textcoords="offset points", fontsize=7)
    ax.figure.colorbar(artist, ax=ax, fraction=0.03, pad=0.02, label="mean strain (1e-4)")


def _plane(hkl) -> str:
    return "".join(f"{abs(index)}\u0305" if index < 0 else str(index) for index in hkl)


VIEWS = ((1.0, 0.6, 0.5), (-1.0, -0.6, 0.5), (0.0, 0.0, 1.0))
COLOURED = (
    ("phase", "phase (rad)", 1.0),
    ("displacement_nm", "displacement (pm)", 1e3),
    ("strain", "strain (1e-4)", 1e4),
)


def surface_figure(result: Strain, window: int = 520) -> Figure:
    """The crystal's surface, rendered from three sides, coloured by phase, displacement and strain.

    Raises
    ------
    InputError   pyvista is not installed
    """
    surface = surface_of(result.orthogonal, result.choices.get("surface", 0.5))
    figure = Picture(figsize=(9.0, 9.0), layout="constrained")
    axes = figure.subplots(3, 3)
    for row, (name, label, factor) in zip(axes, COLOURED, strict=True):
        values = getattr(surface, name) * factor
        limit = float(np.nanquantile(np.abs(values), SHOWN_SHARE)) or 1.0
        for ax, picture in zip(row, _render(surface, values, limit, window), strict=True):
            ax.imshow(picture)
            ax.axis("off")
        bar = figure.colorbar(_colours(limit), ax=list(row), fraction=0.02, pad=0.01)
        bar.set_label(label)
    figure.suptitle(f"{_title(result)}; seen from x, from behind, and along z")
    return figure


def _colours(limit: float):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(-limit, limit), "RdBu_r")


def _render(surface: Surface, values: np.ndarray, limit: float, window: int) -> list[np.ndarray]:
    """Pictures (window, window, 3) of the mesh from the directions of :data:`VIEWS`."""
    mesh = mesh_of(surface)
    mesh["shown"] = values
    import pyvista
    from vtkmodules.vtkCommonCore import vtkLogger

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)  # that there is no screen is meant
    pictures = []
    for view in VIEWS:
        plotter = pyvista.Plotter(off_screen=True, window_size=(window, window))
        plotter.set_background("white")
        plotter.add_mesh(
            mesh, scalars="shown", clim=(-limit, limit), cmap="RdBu_r", nan_color=HIDDEN, show_scalar_bar=False,
            smooth_shading=False, ambient=0.55, diffuse=0.45,
        )  # fmt: skip
        plotter.add_axes()
        plotter.view_vector(view, (0, 1, 0) if view[2] == 1.0 else (0, 0, 1))
        plotter.enable_parallel_projection()
        plotter.camera.zoom(1.35)
        pictures.append(np.asarray(plotter.screenshot(return_img=True)))
        plotter.close()
    return pictures


def mesh_of(surface: Surface):
    """The surface as a pyvista mesh in nm, with strain, displacement and phase on its points."""
    pyvista = extras.load("pyvista", "a picture of the surface")
    faces = np.column_stack([np.full(len(surface.faces), 3), surface.faces]).ravel()
    mesh = pyvista.PolyData(surface.vertices_nm, faces)
    for name in ("strain", "displacement_nm", "phase"):
        mesh.point_data[name] = getattr(surface, name)
    return mesh


def write_surface(result: Strain, path: str | Path) -> None:
    """Write the rendered surface as a PNG."""
    with atomic_path(path) as part:
        surface_figure(result).savefig(part, format="png", dpi=DOTS_PER_INCH)


def write_slices_movie(result: Strain, path: str | Path, frames_per_second: float = 8.0) -> None:
    """A moving picture, .gif or .webp, through the crystal along z: amplitude, displacement and strain.

    Raises
    ------
    InputError   another suffix
    """
    from PIL import Image

    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in ("gif", "webp"):
        raise InputError(f"{path}: moving pictures end in .gif or .webp")
    grid = result.orthogonal
    limits = [_limits(getattr(grid, q.name)[grid.bulk] * q.factor, q) for q in QUANTITIES]
    levels = np.flatnonzero(grid.inside.any((0, 1)))
    frames = []
    for level in levels[:: max(1, len(levels) // 60)]:
        figure, axes = new_figure(1, 3, 3.0, 2.6)
        for ax, quantity, limit in zip(axes[0], QUANTITIES, limits, strict=True):
            values = getattr(grid, quantity.name) * quantity.factor
            shown = np.where(grid.inside, values, np.nan) if quantity.symmetric else values
            artist = _show_plane(ax, shown, PLANES[0], (0, 0, level), grid, limit, quantity.colours)
            figure.colorbar(artist, ax=ax, fraction=0.046, pad=0.03)
            ax.set_title(quantity.label)
        figure.suptitle(f"z = {grid.origin_nm[2] + level * grid.voxel_nm:.0f} nm")
        frames.append(_pixels(figure))
    first, *rest = (Image.fromarray(frame) for frame in frames)
    with atomic_path(path) as part:
        pause = round(1000 / frames_per_second)
        first.save(part, format=kind.upper(), save_all=True, append_images=rest, duration=pause, loop=0)


def _pixels(figure: Figure) -> np.ndarray:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
