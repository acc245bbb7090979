"""Curves of a study: profiles along arcs and lines, densities of particles and background, PRTF over draws of noise."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.study.config import Config
from cdipipe.study.figure_entries import CurvesEntry
from cdipipe.study.objects import read_objects

BINS = 40
"""Of the densities, over the phases of all curves of a panel."""
SAMPLES_PER_PX = 2
TRUTH = "truth"


@dataclass(frozen=True)
class Curve:
    """A line of a figure; ``x`` and ``y`` (N,) float64, NaN where nothing is known.

    Parameters
    ----------
    panel, name : the axes that it is drawn in, and the method
    dashed : the second of two classes
    note : a number for the legend
    """

    panel: str
    name: str
    x: np.ndarray
    y: np.ndarray
    dashed: bool = False
    note: str = ""


@dataclass(frozen=True)
class Curves:
    """Curves of one figure with the names of its axes; ``level`` is a line across."""

    title: str
    x_label: str
    y_label: str
    curves: list[Curve]
    level: float | None = None

    @property
    def panels(self) -> list[str]:
        """Names of the axes in order."""
        return list(dict.fromkeys(curve.panel for curve in self.curves))


def fill_curves(study: Config, name: str) -> Curves:
    """The curves of a figure from the results in the study's output folder.

    Raises
    ------
    InputError   a result is missing or damaged, an arc or line leaves the array, frames are not in a known probe, or
        measurements are no draws of one sample
    """
    entry, where = study.curves[name], f"curves '{name}'"
    found = {"profile": _profiles, "densities": _densities, "prtf": _transfers}[entry.show](study, entry, where)
    if not found.curves:
        raise InputError(f"{where}: its methods were run on none of its measurements, or all objects are flat")
    return replace(found, title=entry.title or name)


def write_curves(curves: Curves) -> str:
    """Tab-separated text: a line per point."""
    lines = [f"panel\tcurve\t{curves.x_label}\t{curves.y_label}"]
    for curve in curves.curves:
        name = f"{curve.name} (background)" if curve.dashed else curve.name
        points = zip(curve.x, curve.y, strict=True)
        lines += [f"{curve.panel}\t{name}\t{x:.6g}\t{y:.6g}" for x, y in points if np.isfinite(y)]
    return "\n".join(lines) + "\n"


def _methods_on(study: Config, entry: CurvesEntry, label: str) -> dict[str, list[str]]:
    """Of a row: method -> those of its measurements on which it was run; in the order of the figure."""
    pairs = set(study.pairs())
    found = {m: [name for name in entry.members(label) if (name, m) in pairs] for m in study.rows_of(entry)}
    return {method: names for method, names in found.items() if names}


def _profiles(study: Config, entry: CurvesEntry, where: str) -> Curves:
    value = np.angle if entry.phase else np.abs
    curves = []
    for label, measurement in entry.rows.items():
        methods = list(_methods_on(study, entry, label))
        if not methods:
            continue
        found = read_objects(study, measurement, methods, entry.sample)
        known = {} if found.truth is None else {TRUTH: found.truth}
        for path, x, places in _paths(entry):
            panel = ", ".join(part for part in (label, path) if part)
            for name, object_ in (known | found.objects).items():
                curves.append(Curve(panel, name, x, value(_sampled(object_, places, where))))
    along = "degrees along the arc" if entry.arcs_px else "pixels along the line"
    return Curves("", along, "phase, rad" if entry.phase else "amplitude", curves)


def _paths(entry: CurvesEntry):
    """Name, positions along it (N,), and places (2, N) in pixels from the middle of the array, of every path."""
    if entry.line_px is not None:
        ends = np.array(entry.line_px)
        length = float(np.linalg.norm(ends[1] - ends[0]))
        x = np.linspace(0, length, max(2, round(SAMPLES_PER_PX * length) + 1))
        yield "", x, ends[0][:, None] + (ends[1] - ends[0])[:, None] * x / length
        return
    for radius in entry.arcs_px:
        turn = np.ptp(entry.degrees) / 360
        x = np.linspace(*entry.degrees, max(2, round(SAMPLES_PER_PX * 2 * np.pi * radius * turn) + 1))
        angle = np.deg2rad(x)
        circle = radius * np.stack([np.sin(angle), np.cos(angle)])
        yield f"arc of {radius:g} px", x, np.array(entry.centre_px)[:, None] + circle


def _sampled(object_: np.ndarray, places: np.ndarray, where: str) -> np.ndarray:
    """(N,) complex values at ``places`` (2, N) from the middle of an array (H, W), linearly between its pixels."""
    from scipy.ndimage import map_coordinates

    shape = np.array(object_.shape)
    at = places + (shape // 2)[:, None]
    if (at < 0).any() or (at > (shape - 1)[:, None]).any():
        raise InputError(f"{where}: leaves the array of {shape[0]} x {shape[1]} pixels")
    parts = [map_coordinates(part.astype(np.float64), at, order=1) for part in (object_.real, object_.imag)]
    return parts[0] + 1j * parts[1]


def _densities(study: Config, entry: CurvesEntry, where: str) -> Curves:
    from cdipipe.io.cxi import read_measurement, read_truth
    from cdipipe.metrics.dynamics import FIELD_LEVEL, light_on_object, phase_in_field, separate_particles

    curves = []
    for label, measurement in entry.rows.items():
        methods = list(_methods_on(study, entry, label))
        if not methods:
            continue
        place = Path(study.output) / measurement
        counts = read_measurement(place / "M.cxi")
        if counts.stack != "movie" or counts.probe_modes is None:
            raise InputError(f"{where}: '{measurement}' is no movie in a known probe")
        index = min(entry.sample, counts.pattern_count - 1)
        frames = {method: _result(study, measurement, method) for method in methods}
        known = {TRUTH: read_truth(place / "T.cxi")} if measurement in study.simulated() else {}
        light = light_on_object(counts.probe_modes)
        phases = {name: phase_in_field(one.object[index], light) for name, one in (known | frames).items()}
        seen = {name: phase[light > FIELD_LEVEL] for name, phase in phases.items()}
        edges = np.histogram_bin_edges(np.concatenate(list(seen.values())), BINS)
        for name, values in seen.items():
            split = separate_particles(phases[name], light)
            if split is None:
                continue  # flat: there are no two classes
            x, is_background = (edges[1:] + edges[:-1]) / 2, values > split.threshold_rad
            for dashed, note in ((False, f"d' {split.distance:.2f}"), (True, "")):
                density, _ = np.histogram(values[is_background == dashed], edges, density=True)
                curves.append(Curve(label, name, x, density, dashed, note))
    return Curves("", "phase about the field's mean, rad", "density, 1/rad", curves)


def _transfers(study: Config, entry: CurvesEntry, where: str) -> Curves:
    from cdipipe.io.cxi import read_measurement
    from cdipipe.metrics.catalogue import PRTF_THRESHOLD
    from cdipipe.metrics.fourier import resolution_px, smooth_rings, transfer_floor

    curves = []
    for label in entry.rows:
        for method, draws in _methods_on(study, entry, label).items():
            counts = [read_measurement(Path(study.output) / name / "M.cxi") for name in draws]
            if len({one.intensity.shape for one in counts}) > 1:
                raise InputError(f"{where}: {', '.join(draws)} differ in size; they must be draws of one sample")
            if len(draws) < 2:
                continue  # of one draw it says nothing
            x, y = _transfer([_result(study, name, method) for name in draws], counts)
            is_told = transfer_floor(len(draws)) < PRTF_THRESHOLD
            period = resolution_px(x, smooth_rings(y), PRTF_THRESHOLD) if is_told else None
            note = f"{period:.1f} px" if period else ""
            curves.append(Curve(f"{label}, {len(draws)} draws", method, x[1:], smooth_rings(y)[1:], note=note))
    return Curves("", "cycles per pixel", "PRTF", curves, PRTF_THRESHOLD)


def _transfer(results: list[Reconstruction], counts: list[Measurement]) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies and PRTF (rings,) of results of several draws: of every pattern, then the mean over the patterns.

    The moduli that the transfer is measured by are those of the mean of all draws.
    """
    from cdipipe.metrics.cases import WholeCase

    mean = replace(counts[0], intensity=np.mean([one.intensity for one in counts], 0, dtype=np.float32))
    whole = WholeCase(results[0], mean)
    objects = np.stack([one.object for one in results])
    found = []
    for index in range(mean.pattern_count):
        case = whole.pattern(index)
        case.raw_runs = objects[:, index] if whole.is_stack else objects
        found.append(case.prtf)
    known = np.isfinite(found)
    total = np.where(known, found, 0).sum(0)
    return case.frequencies, np.divide(total, known.sum(0), out=np.full(total.shape, np.nan), where=known.any(0))


def _result(study: Config, measurement: str, method: str) -> Reconstruction:
    from cdipipe.io.cxi import read_reconstruction

    return read_reconstruction(Path(study.output) / measurement / method / study.result_name())
