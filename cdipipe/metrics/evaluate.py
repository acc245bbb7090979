"""Every metric of a reconstruction: the flat content of metrics.json, and the curves behind it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from html import escape

import numpy as np

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement, Reconstruction, Truth
from cdipipe.metrics import dynamics, fourier, statistics
from cdipipe.metrics.align import align_to
from cdipipe.metrics.image import image_metrics

FRC_THRESHOLD = 0.5
"""Against a noise-free truth; the counterpart of 0.143 between independent halves."""
PRTF_THRESHOLD = float(np.exp(-1))


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What ``evaluate`` finds.

    Parameters
    ----------
    metrics : dict of str -> float or str, the content of metrics.json
    curves : dict of str -> (rings,) float64, means over the patterns of a stack
        ``radial_measured``, ``radial_predicted`` (mean photons per pixel) and ``radial_pixels``; with truth ``frc``
        (``fsc`` of a volume), its ``_half_bit``, ``_one_bit`` and ``_threshold``; with runs ``prtf``, its ``_smooth``
        (3 rings, what the resolution is read from), ``_phase``, ``_threshold`` and ``_floor``. Every group has its
        ``_frequency`` in cycles per object pixel. Thresholds and floor are single numbers. Of a stack also
        ``pattern_NAME``, each metric of each pattern, and ``prtf_of_patterns`` (patterns, rings), smoothed.
    """

    metrics: dict[str, float | str]
    curves: dict[str, np.ndarray]

    def __str__(self) -> str:
        """The metrics as a table, a line each."""
        width = max(map(len, self.metrics), default=0)
        return "\n".join(f"{name:{width}}  {_shown(value)}" for name, value in self.metrics.items())

    def __repr__(self) -> str:
        return f"Evaluation({len(self.metrics)} metrics, {len(self.curves)} curves)"

    def _repr_html_(self) -> str:
        rows = (
            f"<tr><th>{escape(name)}</th><td>{escape(_shown(value))}</td></tr>" for name, value in self.metrics.items()
        )
        return f"<table>{''.join(rows)}</table>"


def _shown(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.5g}"


def evaluate(
    reconstruction: Reconstruction,
    measurement: Measurement,
    truth: Truth | None = None,
    progress: Callable | None = None,
) -> Evaluation:
    """Judge a reconstruction by its measurement, by its own runs, and by the truth where there is one.

    Parameters
    ----------
    reconstruction, measurement, truth : of the same shape and stack
    progress : callable that wraps an iterable, optional

    Returns
    -------
    Evaluation
        Of a stack of shots or frames the means over the patterns, and ``NAME_std``. What cannot be computed is absent.

    Raises
    ------
    InputError   shapes or stacks differ
    """
    _check_shapes(reconstruction, measurement, truth)
    model = _forward_model(reconstruction, len(measurement.pattern_shape))
    indices = range(measurement.pattern_count)
    rows, curves = [], []
    runs = reconstruction.runs if reconstruction.runs is not None and len(reconstruction.runs) > 1 else None
    for index in indices if progress is None else progress(indices):
        row, curve = _evaluate_pattern(reconstruction, measurement, truth, index, model)
        if runs is not None:
            more, more_curves = _judge_runs(reconstruction, measurement, model, index)
            row, curve = row | more, curve | more_curves
        rows.append(row)
        curves.append(curve)
    is_stack = measurement.stack in ("shots", "movie")
    metrics = statistics.summarise(rows) | {"patterns": len(rows)} if is_stack else rows[0]
    joined = {name: _mean_of_valid([curve[name] for curve in curves]) for name in curves[0]}
    if is_stack:
        joined |= statistics.by_pattern(rows)
    if is_stack and runs is not None:
        joined["prtf_of_patterns"] = np.stack([curve["prtf_smooth"] for curve in curves])
    if runs is not None:
        metrics |= {"prtf_runs": len(runs), "prtf_floor": float(joined["prtf_floor"])}
    if measurement.stack == "movie" and measurement.probe_modes is not None:
        more, more_curves = _judge_movie(reconstruction, measurement, truth)
        metrics, joined = metrics | more, joined | more_curves
    return Evaluation(metrics | _circumstances(reconstruction, len(rows)), joined)


def _evaluate_pattern(reconstruction, measurement, truth, index, model):
    pattern = measurement.pattern(index)
    is_stack = measurement.stack in ("shots", "movie")
    object_ = reconstruction.object[index] if is_stack else reconstruction.object
    free = _pattern_of(reconstruction.free_pixels, index, pattern.intensity.ndim)
    model = model.of_pattern(index)
    predicted = _predict(model, object_)
    metrics = fourier.misfits(predicted, pattern.intensity, pattern.measured, free)
    curves = _radial(predicted, pattern, free)
    if truth is not None:
        true_object = truth.object[index] if is_stack else truth.object
        support = truth.support[index] if is_stack else truth.support
        static = _true_static(pattern, truth, index)
        whole = true_object if static is None else true_object + static
        aligned = _aligned(whole, true_object, object_, model, pattern)
        more, more_curves = _judge_by_truth(aligned, true_object, support)
        of_truth = fourier.misfits(
            _predict(replace(model, static_region=None), whole), pattern.intensity, pattern.measured, free
        )
        metrics |= more | {f"{name}_truth": of_truth[name] for name in ("r_factor", "poisson_nll") if name in of_truth}
        curves |= more_curves
    return metrics, curves


def lay_over_truth(reconstruction, measurement, truth, index: int = 0) -> np.ndarray:
    """One pattern's object laid over its truth as every metric sees it: as far as the pattern leaves it open."""
    pattern, is_stack = measurement.pattern(index), measurement.stack in ("shots", "movie")
    object_, true_object = (item.object[index] if is_stack else item.object for item in (reconstruction, truth))
    model = _forward_model(reconstruction, len(measurement.pattern_shape)).of_pattern(index)
    static = _true_static(pattern, truth, index)
    return _aligned(true_object if static is None else true_object + static, true_object, object_, model, pattern)


def _true_static(pattern, truth, index):
    """The static structure beside the object: as the measurement knows it, or else as the truth does; or None."""
    if pattern.static_region is not None:
        return pattern.static_region
    return _pattern_of(truth.extra.get("static_region"), index, pattern.intensity.ndim)


def _aligned(whole, true_object, object_, model, pattern):
    """The object laid over the truth as far as the pattern leaves it open.

    Beside a known static region that is not at all. Where the static region was estimated, or is part of the object,
    both together are laid over the truth of both: by whole pixels, as the place of the static structure is known to
    the pixel and it would shine into the object through a sub-pixel shift.
    """
    if model.static_region is not None and pattern.static_region is not None:
        return object_
    beside_static = model.static_region is not None or pattern.known_static_support is not None
    if model.static_region is not None and whole is not true_object:
        object_ = object_ + model.static_region.numpy()
    if model.probe_modes is not None:
        overlap = np.vdot(object_, whole)
        scale = abs(overlap) / max(float(np.vdot(object_, object_).real), 1e-30)
        aligned = (object_ * (scale * np.exp(1j * np.angle(overlap)))).astype(object_.dtype)
    elif beside_static:
        aligned = align_to(whole, object_, subpixel=False).object
    else:
        aligned = align_to(whole, object_, scale=True).object
    return np.where(pattern.known_static_support, 0, aligned) if beside_static else aligned


def _judge_by_truth(aligned, truth, support):
    metrics = image_metrics(truth, support, aligned)
    frequencies = fourier.ring_frequencies(truth.shape)
    frc = fourier.fourier_ring_correlation(truth, aligned)
    resolution = fourier.resolution_px(frequencies, frc, FRC_THRESHOLD)
    if resolution is not None:
        metrics["frc_resolution_px"] = resolution
    filled, name = float(support.mean()), "fsc" if truth.ndim == 3 else "frc"
    curves = {
        name: frc,
        f"{name}_frequency": frequencies,
        f"{name}_half_bit": fourier.bit_threshold(truth.shape, 0.5, filled),
        f"{name}_one_bit": fourier.bit_threshold(truth.shape, 1.0, filled),
        f"{name}_threshold": np.array(FRC_THRESHOLD),
    }
    return metrics, curves


def _judge_movie(reconstruction, measurement, truth):
    times, pixel = measurement.frame_times_s, measurement.geometry.object_pixel_m(measurement.pattern_shape[-1])
    true_object = None if truth is None else truth.object
    return dynamics.judge_movie(reconstruction.object, measurement.probe_modes, true_object, times, pixel)


def _judge_runs(reconstruction, measurement, model, index):
    """PRTF and repeatability of one pattern's stored runs, laid over its object; the truth plays no part."""
    pattern, is_stack = measurement.pattern(index), measurement.stack in ("shots", "movie")
    object_, runs = reconstruction.object, reconstruction.runs
    if is_stack:
        object_, runs = object_[index], runs[:, index]
    used = _used_pixels(pattern, _pattern_of(reconstruction.free_pixels, index, pattern.intensity.ndim))
    model = model.of_pattern(index)
    aligned = statistics.align_runs(object_, runs, model.freedom)
    waves = np.stack([_propagate(model, run, pattern.intensity, used) for run in aligned])
    frequencies = fourier.ring_frequencies(pattern.intensity.shape)
    prtf = fourier.phase_retrieval_transfer(waves, pattern.intensity, used)
    smooth = fourier.smooth_rings(prtf)
    found = {
        "prtf_resolution_px": fourier.resolution_px(frequencies, smooth, PRTF_THRESHOLD),
        "repeatability": statistics.repeatability(aligned) if object_.any() else None,
    }
    curves = {
        "prtf": prtf,
        "prtf_frequency": frequencies,
        "prtf_smooth": smooth,
        "prtf_phase": fourier.phase_retrieval_transfer(waves, pattern.intensity, used, phase_only=True),
        "prtf_threshold": np.array(PRTF_THRESHOLD),
        "prtf_floor": np.array(float(np.sqrt(np.pi / 4 / len(aligned)))),
    }
    return {name: value for name, value in found.items() if value is not None}, curves


def _propagate(model, object_: np.ndarray, intensity: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Wavefront (*grid), or (M, *grid) of incoherent modes, scaled to the measured photons."""
    from cdipipe.optics import fourier as transform

    exit_wave = transform.to_corner(_tensor(object_), model.ndim)
    wave = transform.to_centre(model.corner().wavefront(exit_wave), model.ndim).numpy()
    power = np.abs(wave) ** 2
    scale = fourier.intensity_scale(power.sum(axis=0) if wave.ndim > intensity.ndim else power, intensity, used)
    return wave if scale is None else wave * np.sqrt(scale)


def _radial(predicted, pattern, free):
    used = _used_pixels(pattern, free)
    scale = fourier.intensity_scale(predicted, pattern.intensity, used)
    shape = pattern.intensity.shape
    return {
        "radial_frequency": fourier.ring_frequencies(shape),
        "radial_pixels": fourier.ring_sums(np.ones(shape)),
        "radial_measured": fourier.ring_means(pattern.intensity, used),
        "radial_predicted": fourier.ring_means(predicted * (scale or 1.0), used),
    }


def _used_pixels(pattern, free):
    return pattern.measured if free is None else pattern.measured & ~free


def _pattern_of(array, index, rank):
    """The entry of one pattern in an array that holds one for each, or one for all."""
    return array[index] if array is not None and array.ndim > rank else array


def _forward_model(reconstruction: Reconstruction, rank: int):
    """The reconstruction's own forward model."""
    from cdipipe.optics.forward import ForwardModel

    model = ForwardModel.from_dict({"ndim": rank, **reconstruction.forward})
    if model.ndim != rank:
        raise InputError(f"the reconstruction's forward model has {model.ndim} axes, the patterns have {rank}")
    return model


def _predict(model, object_: np.ndarray) -> np.ndarray:
    """Photons on the detector, unscaled, centred."""
    return model.predict_intensity(_tensor(object_)).numpy()


def _tensor(array: np.ndarray):
    import torch

    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.complex128))


def _mean_of_valid(arrays: list[np.ndarray]) -> np.ndarray:
    stacked = np.stack(arrays)
    valid = np.isfinite(stacked)
    count = valid.sum(axis=0)
    total = np.where(valid, stacked, 0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def _circumstances(reconstruction: Reconstruction, patterns: int) -> dict[str, float | str]:
    known = {"device": reconstruction.device, "backend": reconstruction.backend or "unknown"}
    if reconstruction.seconds is not None:
        known["seconds"] = float(reconstruction.seconds)
        known["seconds_per_pattern"] = known["seconds"] / patterns
    return known


def _check_shapes(reconstruction: Reconstruction, measurement: Measurement, truth: Truth | None) -> None:
    expected = (measurement.stack, measurement.intensity.shape)
    for name, item in (("reconstruction", reconstruction), ("truth", truth)):
        if item is not None and (item.stack, item.object.shape) != expected:
            raise InputError(
                f"the {name} does not fit the measurement: {item.stack} of shape {item.object.shape}, "
                f"the measurement is {expected[0]} of shape {expected[1]}"
            )
        if item is not None:
            statistics.check_values(name, item.object)
    free = reconstruction.free_pixels
    if free is not None and free.shape not in (measurement.pattern_shape, measurement.intensity.shape):
        raise InputError(f"free pixels of shape {free.shape} do not fit patterns of shape {measurement.pattern_shape}")
    if reconstruction.runs is not None:
        statistics.check_runs(reconstruction)
