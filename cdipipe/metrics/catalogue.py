"""Every metric of this package, declared once: what it is called, what it means, which end is better, how it is found.

The order is that of tables. Adding a metric is adding a record here; metrics.json, tables, figures, the report,
``cdipipe metrics`` and the guide's table take it from here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cdipipe.metrics import dynamics, fourier, image, statistics, trust
from cdipipe.metrics.record import Metric

FRC_THRESHOLD = 0.5
"""Against a noise-free truth; the counterpart of 0.143 between independent halves."""
PRTF_THRESHOLD = float(np.exp(-1))


def _misfit(function: Callable, photons: str = "photons", pixels: str = "used") -> Callable[[Any], float | None]:
    """A misfit of predicted and measured photons over some pixels of a pattern."""

    def judge(case) -> float | None:
        model = getattr(case, photons)
        return None if model is None else function(model, case.intensity, getattr(case, pixels))

    return judge


def _on_support(function: Callable, part: Callable = np.abs) -> Callable[[Any], float | None]:
    """A comparison of object and truth on the truth's support."""

    def judge(case) -> float | None:
        inside = case.support
        return function(part(case.truth[inside]), part(case.aligned[inside])) if inside.any() else None

    return judge


def _in_box(function: Callable) -> Callable[[Any], float | None]:
    """A comparison of the amplitudes of object and truth in a box around the truth's support."""

    def judge(case) -> float | None:
        if not case.support.any():
            return None
        box = image.box_around(case.support)
        return function(np.abs(case.truth[box]), np.abs(case.aligned[box]))

    return judge


def _correlation(case) -> float | None:
    from cdipipe.metrics.align import correlation

    return correlation(case.truth, case.aligned) if np.any(case.truth) else None


def _speeds(lag: int) -> Callable[[Any], np.ndarray | None]:
    """Speeds over so many frames, of movies that have enough of them."""

    def judge(case) -> np.ndarray | None:
        if len(case.phases) <= 2 * lag:
            return None
        return dynamics.speeds_m_per_s(case.phases, case.light, case.times_s, case.pixel_m, lag)

    return judge


def _correlations(case) -> np.ndarray:
    true = (dynamics.phase_in_field(frame, case.light) for frame in case.truth)
    pairs = zip(case.phases, true, strict=True)
    return np.array([dynamics.weighted_correlation(found, wanted, case.light) for found, wanted in pairs])


def _separations(case) -> np.ndarray:
    found = (dynamics.separate_particles(phase, case.light) for phase in case.phases)
    return np.array([np.nan if one is None else one.distance for one in found])


def _transfer_resolution(case) -> float | None:
    if not trust.transfer_is_told(len(case.runs)):
        return None
    return fourier.resolution_px(case.frequencies, fourier.smooth_rings(case.prtf), PRTF_THRESHOLD)


METRICS = (
    Metric(
        name="r_factor",
        label="R-factor",
        meaning="sum of abs(sqrt(c J) - sqrt(I)) over sum of sqrt(I); a low value says that the counts are explained, "
        "not that the object is right",
        judge=_misfit(fourier.r_factor),
        good="low",
        headline=True,
    ),
    Metric(
        name="r_factor_free",
        label="free R",
        meaning="R-factor on the withheld pixels (--free-fraction), which the reconstruction never saw",
        judge=_misfit(fourier.r_factor, pixels="withheld"),
        good="low",
        needs=("withheld",),
    ),
    Metric(
        name="r_factor_local",
        label="local R",
        meaning="mean over pixels with more than half a photon of abs(sqrt(c J) - sqrt(I)) / sqrt(I)",
        judge=_misfit(fourier.r_factor_local),
        good="low",
        shown=False,
    ),
    Metric(
        name="chi2",
        label="chi²",
        meaning="sum of (sqrt(I) - sqrt(c J))^2 over sum of I",
        judge=_misfit(fourier.chi2),
        good="low",
    ),
    Metric(
        name="poisson_nll",
        label="NLL",
        meaning="mean Poisson negative log-likelihood c J - I + I ln(I / c J); 0 for a perfect prediction",
        judge=_misfit(fourier.poisson_nll),
        good="low",
    ),
    Metric(
        name="poisson_nll_free",
        label="free NLL",
        meaning="NLL on the withheld pixels (--free-fraction), which the reconstruction never saw",
        judge=_misfit(fourier.poisson_nll, pixels="withheld"),
        good="low",
        needs=("withheld",),
    ),
    Metric(
        name="complex_correlation",
        label="correlation",
        meaning="abs(sum conj(u) v) / (abs(u) abs(v)) with the truth",
        judge=_correlation,
        good="high",
        needs=("truth",),
        headline=True,
    ),
    Metric(
        name="ssim",
        label="SSIM",
        meaning="structural similarity of the amplitude, on the truth's support; the global formula, without windows",
        judge=_on_support(image.ssim_global),
        good="high",
        needs=("truth",),
    ),
    Metric(
        name="psnr_db",
        label="PSNR",
        meaning="peak signal-to-noise ratio of the amplitude, on the truth's support",
        judge=_on_support(image.psnr_db),
        unit="dB",
        good="high",
        needs=("truth",),
    ),
    Metric(
        name="psnr_box_db",
        label="PSNR, box",
        meaning="PSNR of the amplitude in twice the bounding box of the truth's support: what lies beside the object "
        "counts, too, as where papers judge whole pictures",
        judge=_in_box(image.psnr_db),
        unit="dB",
        good="high",
        needs=("truth",),
        shown=False,
    ),
    Metric(
        name="ssim_box",
        label="SSIM, box",
        meaning="structural similarity of the amplitude in the same box",
        judge=_in_box(image.ssim_global),
        good="high",
        needs=("truth",),
        shown=False,
    ),
    Metric(
        name="pcc",
        label="PCC",
        meaning="Pearson's correlation coefficient of the amplitude, on the truth's support",
        judge=_on_support(image.pcc),
        good="high",
        needs=("truth",),
    ),
    Metric(
        name="phase_rmse_rad",
        label="phase RMSE",
        meaning="root mean square phase difference on the truth's support, weighted by its squared amplitude",
        judge=_on_support(image.phase_rmse_rad, np.asarray),
        unit="rad",
        good="low",
        needs=("truth",),
    ),
    Metric(
        name="frc_resolution_px",
        label="FRC 0.5",
        meaning="full period in object pixels where the Fourier ring (shell) correlation with the truth falls below "
        "0.5; in a known probe of what differs from the mean in its light",
        judge=lambda case: fourier.resolution_px(case.frequencies, case.frc, FRC_THRESHOLD),
        unit="px",
        good="low",
        needs=("truth",),
    ),
    Metric(
        name="r_factor_truth",
        label="R-factor of the truth",
        meaning="R-factor that the truth itself reaches on these counts",
        judge=_misfit(fourier.r_factor, "true_photons"),
        needs=("truth",),
        shown=False,
    ),
    Metric(
        name="poisson_nll_truth",
        label="NLL of the truth",
        meaning="negative log-likelihood that the truth itself reaches on these counts",
        judge=_misfit(fourier.poisson_nll, "true_photons"),
        needs=("truth",),
        shown=False,
    ),
    Metric(
        name="prtf_resolution_px",
        label="PRTF 1/e",
        meaning="full period in object pixels where the phase retrieval transfer function over the aligned runs "
        "(--keep-runs), smoothed over three rings, falls below 1/e; of shots each over its own runs; absent for fewer "
        "than 6 runs, of which even random phases lie above 1/e",
        judge=_transfer_resolution,
        unit="px",
        good="low",
        needs=("runs",),
    ),
    Metric(
        name="repeatability",
        label="repeatability",
        meaning="mean correlation of all pairs of runs",
        judge=lambda case: statistics.repeatability(case.runs) if case.object.any() else None,
        good="high",
        needs=("runs",),
        headline=True,
    ),
    Metric(
        name="field_phase_correlation",
        label="phase correlation",
        meaning="mean correlation of the frames' phases with the truth, weighted by the light",
        judge=_correlations,
        of="frames",
        good="high",
        needs=("beam", "truth"),
        shown=False,
    ),
    Metric(
        name="otsu_separation",
        label="Otsu separation",
        meaning="distance of the two classes of phases by Otsu's threshold, in standard deviations",
        judge=_separations,
        of="frames",
        good="high",
        needs=("beam",),
        shown=False,
    ),
    Metric(
        name="speed_lag1_m_per_s",
        label="speed, next frame",
        meaning="median speed between frames in a row, from the cross-correlation of their phases",
        judge=_speeds(1),
        of="frames",
        unit="m/s",
        needs=("beam", "times"),
        middle="median",
        shown=False,
    ),
    Metric(
        name="speed_lag10_m_per_s",
        label="speed, 10 frames",
        meaning="median speed between frames 10 apart",
        judge=_speeds(10),
        of="frames",
        unit="m/s",
        needs=("beam", "times"),
        middle="median",
        shown=False,
    ),
    Metric(
        name="patterns",
        label="patterns",
        meaning="number of patterns of a stack",
        judge=lambda case: case.measurement.pattern_count if case.is_stack else None,
        of="whole",
        format=".0f",
        shown=False,
    ),
    Metric(
        name="prtf_runs",
        label="runs",
        meaning="number of stored runs",
        judge=lambda case: len(case.runs),
        of="whole",
        needs=("runs",),
        format=".0f",
        shown=False,
    ),
    Metric(
        name="prtf_floor",
        label="PRTF floor",
        meaning="transfer function that as many runs with random phases have",
        judge=lambda case: fourier.transfer_floor(len(case.runs)),
        of="whole",
        needs=("runs",),
        shown=False,
    ),
    Metric(
        name="seconds",
        label="time",
        meaning="time inside the method, without start-up and files",
        judge=lambda case: case.reconstruction.seconds,
        of="whole",
        unit="s",
        good="low",
    ),
    Metric(
        name="seconds_per_pattern",
        label="time per pattern",
        meaning="time inside the method per pattern",
        judge=lambda case: case.seconds_per_pattern,
        of="whole",
        unit="s",
        good="low",
        shown=False,
    ),
    Metric(
        name="device",
        label="device",
        meaning="where it was computed",
        judge=lambda case: case.reconstruction.device,
        of="whole",
        shown=False,
    ),
    Metric(
        name="backend",
        label="kernels",
        meaning="which kernels did it, native or reference",
        judge=lambda case: case.reconstruction.backend or "unknown",
        of="whole",
        shown=False,
    ),
)
