"""Curves that judge a reconstruction: error of every restart, scores of the runs, PRTF and FRC."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator

from cdipipe.figures.canvas import LINES, OF_CURVES, POWERS_OF_TEN, new_figure, show_image
from cdipipe.figures.objects import crop_box
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.registry import heading_of

FAINT = "#8a8a8a"
MOST_PATTERNS = 20
"""Curves of single patterns drawn behind their mean."""
CURVES = {"prtf": ("PRTF", LINES[0]), "frc": ("FRC with truth", LINES[1]), "fsc": ("FSC with truth", LINES[1])}
FRC_HALVES = 1 / 7
"""0.143: the threshold between two independent halves of the data; against a known truth it corresponds to 0.5."""
SCORES = ("r_factor", "poisson_nll", "r_factor_free")
"""Scores of the runs that may be drawn, two at most."""


def diagnostics_figure(reconstruction: Reconstruction, curves: Mapping[str, np.ndarray] | None = None) -> Figure:
    """Error traces of all restarts, resolution curves and the runs' scores, as far as they are known.

    Parameters
    ----------
    curves : content of the ``curves.npz`` that ``cdipipe evaluate`` writes
    """
    curves = curves or {}
    draw = []
    if reconstruction.error_trace is not None and reconstruction.error_trace.size:
        draw.append(lambda ax: show_error_traces(ax, reconstruction))
    if _shown_scores(reconstruction):
        draw.append(lambda ax: show_runs(ax, reconstruction))
    if reconstruction.runs is not None and reconstruction.stack != "shots" and len(reconstruction.runs) > 2:
        draw.append(lambda ax: show_spread(ax, reconstruction))
    if "movie_otsu_separation" in curves:
        draw.append(lambda ax: show_frames(ax, curves))
    if "movie_speed_lag1_m_per_s" in curves:
        draw.append(lambda ax: show_speeds(ax, curves))
    if reconstruction.mode_weights is not None:
        draw.append(lambda ax: show_modes(ax, reconstruction.mode_weights))
    if any(name in curves for name in CURVES):
        draw.append(lambda ax: show_resolution(ax, curves))
    if "radial_measured" in curves:
        draw.append(lambda ax: show_radial_intensity(ax, curves))
    figure, axes = new_figure(1, max(1, len(draw)), 3.4, 3.0, OF_CURVES)
    for ax, draw_into in zip(axes[0], draw, strict=False):
        draw_into(ax)
    if not draw:
        axes[0, 0].set_axis_off()
        axes[0, 0].text(0.5, 0.5, "no trace, runs or curves stored", ha="center", va="center")
    return figure


def show_error_traces(axes: Axes, reconstruction: Reconstruction) -> None:
    """R-factor against iteration: the best restart (stored first) in colour over the grey others; or all patterns."""
    traces = np.atleast_2d(reconstruction.error_trace)
    iterations = np.arange(1, traces.shape[1] + 1)
    of_patterns = reconstruction.stack in ("shots", "movie")
    for index, trace in enumerate(traces[::-1], 1 - len(traces)):
        best = index == 0 and not of_patterns
        style = {"color": LINES[0], "linewidth": 1.3} if best else {"color": FAINT, "linewidth": 0.6, "alpha": 0.7}
        axes.plot(iterations, trace, label="best" if best else None, **style)
    if not of_patterns and len(traces) > 1:
        axes.legend(frameon=False, loc="upper right")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:.3g}")
    axes.minorticks_off()
    axes.set_xlabel("iteration")
    axes.set_ylabel("R-factor of the iterate")
    kind = "pattern" if of_patterns else "restart"
    axes.set_title(f"error of {len(traces)} {kind}{'s' if len(traces) > 1 else ''}")


def _shown_scores(reconstruction: Reconstruction) -> list[str]:
    if reconstruction.stack in ("shots", "movie"):
        return []
    return [name for name in SCORES if len(reconstruction.run_scores.get(name, ())) > 1][:2]


def show_runs(axes: Axes, reconstruction: Reconstruction) -> None:
    """Every run as a point by two scores, or by one and its rank; numbers are ranks, 0 is the best."""
    names = _shown_scores(reconstruction)
    first = np.asarray(reconstruction.run_scores[names[0]])
    ranks = np.arange(len(first))
    second = np.asarray(reconstruction.run_scores[names[1]]) if len(names) > 1 else ranks
    axes.scatter(first, second, c=[LINES[0], *[FAINT] * (len(first) - 1)], s=18, zorder=3)
    if len(first) <= 30:
        for rank in ranks:
            axes.annotate(str(rank), (first[rank], second[rank]), xytext=(3, 3), textcoords="offset points", fontsize=6)
    axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.set_xlabel(heading_of(names[0]))
    axes.set_ylabel(heading_of(names[1]) if len(names) > 1 else "rank")
    axes.set_title(f"{len(first)} runs, numbered by rank")
    axes.margins(0.12)


def show_spread(axes: Axes, reconstruction: Reconstruction) -> None:
    """Standard deviation of the amplitude over the stored runs, over its largest mean; a volume's middle plane."""
    amplitudes = np.abs(reconstruction.runs)
    mean, spread = amplitudes.mean(0), amplitudes.std(0)
    box = crop_box(reconstruction.support)
    plane = spread[box] if spread.ndim == 2 else spread[box][(box[0].stop - box[0].start) // 2]
    show_image(axes, plane / max(float(mean.max()), 1e-30), cmap="magma", vmin=0)
    axes.set_title(f"spread of {len(amplitudes)} runs' amplitude")


def show_frames(axes: Axes, curves: Mapping[str, np.ndarray]) -> None:
    """What the phase of every frame is worth: correlation with the truth where it is known, Otsu separation."""
    separation = curves["movie_otsu_separation"]
    if "movie_field_phase_correlation" in curves:
        axes.plot(curves["movie_field_phase_correlation"], color=LINES[0])
        axes.set_ylabel("correlation with truth", color=LINES[0])
        axes = axes.twinx()
    axes.plot(separation, color=LINES[1], linewidth=0.9)
    axes.set_ylabel("Otsu separation d'", color=LINES[1])
    axes.set_xlabel("frame")
    axes.set_title("phase of the frames")


def show_speeds(axes: Axes, curves: Mapping[str, np.ndarray]) -> None:
    """Box plot of the speeds between frames 1 and 10 apart."""
    lags = [lag for lag in (1, 10) if f"movie_speed_lag{lag}_m_per_s" in curves]
    values = [1e9 * curves[f"movie_speed_lag{lag}_m_per_s"] for lag in lags]
    axes.boxplot(values, tick_labels=[f"{lag} frame{'s' * (lag > 1)}" for lag in lags], showmeans=True)
    axes.set_ylabel("nm/s")
    axes.set_title("speed of the content")


def show_resolution(axes: Axes, curves: Mapping[str, np.ndarray]) -> None:
    """PRTF, and FRC or FSC, against spatial frequency with their thresholds, as ``cdipipe evaluate`` computed them."""
    for name, (label, colour) in CURVES.items():
        if name not in curves:
            continue
        frequency = curves[f"{name}_frequency"]
        smooth = curves.get(f"{name}_smooth")
        if f"{name}_of_patterns" in curves:
            _show_patterns(axes, frequency, curves[f"{name}_of_patterns"])
            label += ", mean of shots"
        elif smooth is not None:
            axes.plot(frequency, curves[name], color=colour, linewidth=0.6, alpha=0.6)
        axes.plot(frequency, curves[name] if smooth is None else smooth, color=colour, label=label)
        threshold = float(curves[f"{name}_threshold"])
        axes.axhline(threshold, color=colour, linestyle=":", linewidth=0.9, label=f"threshold {threshold:.3g}")
        if f"{name}_floor" in curves:
            floor = float(curves[f"{name}_floor"])
            axes.axhline(floor, color=FAINT, linestyle="-.", linewidth=0.9, label=f"random phases {floor:.2g}")
        if f"{name}_half_bit" in curves:
            axes.plot(
                frequency, curves[f"{name}_half_bit"], color=FAINT, linewidth=0.9, linestyle="--", label="half bit"
            )
    axes.set_xlim(0, 0.5)
    axes.set_ylim(-0.05, 1.08)
    axes.set_xlabel("spatial frequency (1 / object px)")
    axes.set_title("resolution")
    axes.legend(frameon=False, loc="upper right")


def _show_patterns(axes: Axes, frequency: np.ndarray, curves: np.ndarray) -> None:
    """Thin curves of single shots, those that have one."""
    known = [curve for curve in curves if np.isfinite(curve).any()]
    for index, curve in enumerate(known[:MOST_PATTERNS]):
        label = None if index else f"{len(known[:MOST_PATTERNS])} shots"
        axes.plot(frequency, curve, color=FAINT, linewidth=0.6, alpha=0.7, label=label)


def show_radial_intensity(axes: Axes, curves: Mapping[str, np.ndarray]) -> None:
    """Mean photons per pixel of every ring, measured and predicted."""
    frequency = curves["radial_frequency"]
    axes.plot(frequency, curves["radial_measured"], color=FAINT, linewidth=2.2, label="measured")
    axes.plot(frequency, curves["radial_predicted"], color=LINES[0], linewidth=1.0, label="predicted")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(POWERS_OF_TEN)
    axes.minorticks_off()
    axes.set_xlim(0, 0.5)
    axes.set_xlabel("spatial frequency (1 / object px)")
    axes.set_title("photons per pixel, ring means")
    axes.legend(frameon=False, loc="upper right")


def show_modes(axes: Axes, weights: np.ndarray) -> None:
    """Share of every orthogonal mode of the runs."""
    axes.bar(np.arange(1, len(weights) + 1), weights, color=LINES[0])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("mode")
    axes.set_ylim(0, 1)
    axes.set_title("weights of the modes of the runs")


def resolution_figure(named: list[tuple[str, Mapping[str, np.ndarray]]]) -> Figure:
    """FRC with the truth and PRTF of several methods, each in one panel, with their thresholds."""
    kinds = [kind for kind in ("frc", "fsc", "prtf") if any(kind in curves for _, curves in named)]
    figure, axes = new_figure(1, max(len(kinds), 1), 4.2, 3.4, OF_CURVES)
    for axis, kind in zip(axes[0], kinds, strict=False):
        _show_methods(axis, kind, [(name, curves) for name, curves in named if kind in curves])
    if not kinds:
        axes[0, 0].set_axis_off()
        axes[0, 0].text(0.5, 0.5, "no resolution curves", ha="center", va="center")
    return figure


def _show_methods(axes: Axes, kind: str, named: list[tuple[str, Mapping[str, np.ndarray]]]) -> None:
    """One curve per method."""
    for index, (name, curves) in enumerate(named):
        shown = curves.get(f"{kind}_smooth", curves[kind])
        axes.plot(curves[f"{kind}_frequency"], shown, color=LINES[index % len(LINES)], label=name)
    threshold = float(named[-1][1][f"{kind}_threshold"])
    axes.axhline(threshold, color="#555555", linestyle=":", label=f"{threshold:.3g}")
    if kind != "prtf":
        axes.axhline(FRC_HALVES, color="#aaaaaa", linestyle="--", label="0.143 (between halves)")
    axes.set(xlim=(0, 0.5), ylim=(-0.05, 1.08), xlabel="spatial frequency (1 / object px)")
    axes.set_title(CURVES[kind][0])
    axes.legend(frameon=False, loc="upper right")
