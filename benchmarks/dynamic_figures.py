"""Pictures of what benchmarks/dynamic.py kept: one case, all methods; CASE_frames.png and so on.

    python benchmarks/dynamic_figures.py FOLDER CASE -o FOLDER

frames         phase of a few frames, the truth first where there is one; log10 of the amplitude below
profiles       phase along a line through a particle, or along two arcs about the chart's centre
speeds         box plot of the speeds over the movie (chart)
classes        phases of particles and background by Otsu's threshold (particles)
resolution     Fourier ring correlation of the frames with the truth
METHOD.gif     phase and amplitude, frame by frame
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from scipy.ndimage import map_coordinates

from cdipipe.figures import canvas
from cdipipe.figures.movie import write_movie
from cdipipe.measurement import Reconstruction
from cdipipe.metrics import dynamics, fourier

TRUE_SPEED_M_PER_S = 340e-9
ARC_RADII = (0.48, 0.95)
"""Radii of the two arcs, as shares of half the lit field's shorter side."""
SHOWN = (0.0, 0.33, 0.66, 1.0)


class Case:
    """The objects of every method on one movie, and what is known of it."""

    def __init__(self, folder: Path, case: str):
        files = {path.stem.removeprefix(f"{case}-"): path for path in sorted(folder.glob(f"{case}-*.npz"))}
        if not files:
            raise SystemExit(f"{folder}: no {case}-METHOD.npz")
        self.objects = {}
        for name, path in files.items():
            with np.load(path) as file:
                self.data = {key: file[key] for key in file.files}
            self.objects[name] = self.data.pop("object")
        self.light = dynamics.light_on_object(self.data["probe_modes"])
        if "truth" in self.data:
            self.objects = {"truth": self.data["truth"], **self.objects}
        self.phases = {
            name: np.stack([dynamics.phase_in_field(frame, self.light) for frame in frames])
            for name, frames in self.objects.items()
        }
        self.frames = len(next(iter(self.objects.values())))
        self.lit = self.light > 0.01


def show_frames(case: Case):
    """Phase and log amplitude of a few frames, a row per method and quantity."""
    chosen = [round(share * (case.frames - 1)) for share in SHOWN]
    figure, axes = canvas.new_figure(2 * len(case.objects), len(chosen), 2.2, 2.0)
    reference = next(iter(case.phases.values()))[:, case.light > dynamics.FIELD_LEVEL]
    low, high = np.quantile(reference, (0.002, 0.998))
    for row, name in enumerate(case.objects):
        for column, index in enumerate(chosen):
            phase = np.where(case.lit, case.phases[name][index], np.nan)
            canvas.show_image(axes[2 * row, column], phase, cmap="viridis", vmin=low, vmax=high)
            amplitude = np.log10(np.clip(np.abs(case.objects[name][index]), 1e-3, None))
            shown = np.where(case.lit, amplitude, np.nan)
            canvas.show_image(axes[2 * row + 1, column], shown, cmap="gray", vmin=-0.12, vmax=0.03)
            axes[2 * row, column].set_title(f"frame {index}" if row == 0 else "")
        axes[2 * row, 0].set_ylabel(f"{name}\nphase, rad")
        axes[2 * row + 1, 0].set_ylabel(f"{name}\nlog10 amplitude")
    return figure


def show_profiles(case: Case, what: str):
    """Phase along a line through the middle of a particle, or along two arcs about the chart's centre, where lit."""
    index = case.frames // 2
    figure, axes = canvas.new_figure(1, 2, 3.6, 2.6)
    for axis, (title, unit, along, rows, columns) in zip(axes[0], _paths(case, what, index), strict=True):
        for number, (name, phases) in enumerate(case.phases.items()):
            values = map_coordinates(phases[index], [rows, columns], order=1)
            dark = map_coordinates(case.light, [rows, columns], order=1) < dynamics.FIELD_LEVEL
            values[dark] = np.nan
            style = {"color": "k", "lw": 2, "alpha": 0.5} if name == "truth" else {"color": canvas.LINES[number]}
            axis.plot(along, values, label=name, **style)
        axis.set(title=title, xlabel=unit, ylabel="phase, rad")
    axes[0, 0].legend()
    return figure


def _paths(case: Case, what: str, index: int):
    """Title, axis, and the places (rows, columns) of two paths through a frame."""
    places = case.data["centre_px"] + case.data["positions_m"][index] / case.data["pixel_m"]
    if what.startswith("chart"):
        angle = np.linspace(-np.pi, np.pi, 400)
        for share in ARC_RADII:
            radius = share * min(case.light.shape) / 2
            yield (f"arc of radius {radius:.0f} px, frame {index}", "angle, deg", np.rad2deg(angle),
                   places[0] + radius * np.sin(angle), places[1] + radius * np.cos(angle))  # fmt: skip
        return
    lit = places[map_coordinates(case.light, places.T, order=1) > 0.5]
    nearest = lit[np.argmin(np.hypot(*(lit - case.data["centre_px"]).T))]
    along = np.linspace(-12, 12, 100)
    yield f"row through a particle, frame {index}", "px", along, np.full(100, nearest[0]), nearest[1] + along
    yield f"column through it, frame {index}", "px", along, nearest[0] + along, np.full(100, nearest[1])


def show_speeds(case: Case):
    """Speeds between neighbouring frames and between frames ten apart, the true speed as a line."""
    figure, axes = canvas.new_figure(1, 2, 3.6, 2.8)
    times, pixel = case.data["times_s"], float(case.data["pixel_m"])
    for axis, lag in zip(axes[0], (1, 10), strict=True):
        speeds = [1e9 * dynamics.speeds_m_per_s(p, case.light, times, pixel, lag) for p in case.phases.values()]
        axis.boxplot(speeds, tick_labels=list(case.phases), showfliers=False)
        axis.axhline(1e9 * TRUE_SPEED_M_PER_S, color=canvas.LINES[1], ls="--", lw=1)
        axis.set(title=f"frames {lag} apart", ylabel="speed, nm/s")
        axis.tick_params(axis="x", rotation=30)
    return figure


def show_classes(case: Case):
    """Densities of the phases of both of Otsu's classes in the last frame; particles solid, background dashed."""
    figure, axes = canvas.new_figure(1, 1, 4.5, 2.8)
    for number, (name, phases) in enumerate(case.phases.items()):
        found = dynamics.separate_particles(phases[-1], case.light)
        if found is None:
            continue
        values = phases[-1][case.light > dynamics.FIELD_LEVEL]
        low = values <= found.threshold_rad
        for part, style in ((values[low], "-"), (values[~low], "--")):
            density, edges = np.histogram(part, 30, density=True)
            label = f"{name}, d' {found.distance:.1f}" if style == "-" else None
            axes[0, 0].plot((edges[1:] + edges[:-1]) / 2, density, style, color=canvas.LINES[number], label=label)
    axes[0, 0].set(xlabel="phase, rad", ylabel="density", yscale="log", title="last frame: particles -, background --")
    axes[0, 0].legend()
    return figure


def show_resolution(case: Case):
    """Mean ring correlation with the truth, of the lit exit waves."""
    figure, axes = canvas.new_figure(1, 1, 4.5, 2.8)
    side = min(case.light.shape) // 2 * 2
    window = np.sqrt(case.light)[:side, :side]
    frequencies = fourier.ring_frequencies((side, side))
    some = np.unique(np.linspace(0, case.frames - 1, 20).astype(int))
    for number, (name, objects) in enumerate(case.objects.items()):
        if name == "truth":
            continue
        curves = [
            fourier.fourier_ring_correlation(*(_contrast(o[i], case.light)[:side, :side] * window for o in pair))
            for i in some
            for pair in ((case.objects["truth"], objects),)
        ]
        axes[0, 0].plot(frequencies, np.nanmean(curves, 0), color=canvas.LINES[number], label=name)
    axes[0, 0].axhline(0.5, color="k", lw=0.7, ls="--")
    axes[0, 0].set(xlabel="cycles per pixel", ylabel="FRC with the truth", xlim=(0, 0.5))
    axes[0, 0].legend()
    return figure


def _contrast(frame: np.ndarray, light: np.ndarray) -> np.ndarray:
    """A transmission about its mean in the light, its mean phase zero."""
    mean = (frame * light).sum() / light.sum()
    return frame * np.exp(-1j * np.angle(mean)) - abs(mean)


def write_movies(case: Case, folder: Path, prefix: str) -> None:
    for name, objects in case.objects.items():
        objects = objects * np.exp(-1j * np.angle((objects * case.light).sum((1, 2), keepdims=True)))
        support = np.broadcast_to(case.lit, objects.shape)
        shown = np.where(support, objects, 1).astype(np.complex64)
        write_movie(Reconstruction(shown, support, stack="movie"), folder / f"{prefix}_{name}.gif")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("case")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--no-movies", action="store_true")
    arguments = parser.parse_args()
    case = Case(arguments.folder, arguments.case)
    arguments.output.mkdir(parents=True, exist_ok=True)
    figures = {"frames": show_frames(case)}
    if "truth" in case.objects:
        if "positions_m" in case.data:
            figures["profiles"] = show_profiles(case, arguments.case)
        figures["resolution"] = show_resolution(case)
    if "chart" in arguments.case:
        figures["speeds"] = show_speeds(case)
    elif arguments.case != "siemens":
        figures["classes"] = show_classes(case)
    for name, figure in figures.items():
        canvas.save_figure(figure, arguments.output / f"{arguments.case}_{name}.png")
    if not arguments.no_movies:
        write_movies(case, arguments.output, arguments.case)


if __name__ == "__main__":
    main()
