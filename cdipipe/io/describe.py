"""What a file holds, as plain data for ``cdipipe info``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from scipy import fft, ndimage

from cdipipe.errors import InputError
from cdipipe.io import cxi
from cdipipe.io.cxi import layout as cxi_layout
from cdipipe.io.cxi.extra import read_extra
from cdipipe.io.cxi.geometry import read_geometry
from cdipipe.io.cxi.image import read_image
from cdipipe.io.hdf5 import open_source
from cdipipe.io.importing.files import split_key
from cdipipe.io.importing.inspect import inspect_file
from cdipipe.io.importing.readers import reader_of
from cdipipe.measurement import Geometry, Measurement, Reconstruction
from cdipipe.optics.bragg_frame import bragg_frame

AUTOCORRELATION_THRESHOLD = 0.04
PLAIN_FACTS = ("energy_ev", "wavelength_m", "distance_m", "rocking_step_rad", "beam_centre_px", "exposure_s")
PLAIN_FACTS += ("beamline", "detector")
PIXELS = ("pixel_y_m", "pixel_x_m")
BRAGG_FACTS = ("voxel_nm", "voxel_angles_deg", "field_of_view_nm", "resolution_nm", "q_per_nm")
FAR_LAG_DEVIATIONS = 3.5
WHOLE_BYTES = 2**30
"""Measurements of more are not read whole."""


def estimate_object_extent(pattern: np.ndarray, measured: np.ndarray) -> tuple[float | None, ...]:
    """Extent of the object along each axis in pixels: half that of the thresholded autocorrelation.

    The patch around zero lag where |F^-1 I| exceeds 4 % of its maximum, or 3.5 standard deviations of the outer lags
    where these are noisier. An estimate: a faint edge of the object makes it too small.

    Parameters
    ----------
    pattern : (H, W) or (D, H, W) intensity, zero frequency at ``N // 2``
    measured : bool, same shape

    Returns
    -------
    tuple of float or None
        None where the patch reaches across the whole array (undersampled), or the zero frequency was not measured.
    """
    if not measured[tuple(size // 2 for size in pattern.shape)]:
        return (None,) * pattern.ndim
    intensity = np.fft.ifftshift(np.where(measured, pattern, 0).astype(np.float32))
    autocorrelation = np.fft.fftshift(np.abs(fft.ifftn(intensity, workers=-1)))
    autocorrelation /= autocorrelation.max()
    outer = autocorrelation[tuple(slice(0, max(size // 8, 1)) for size in pattern.shape)]
    threshold = max(AUTOCORRELATION_THRESHOLD, FAR_LAG_DEVIATIONS * float(np.sqrt(np.mean(outer**2) / 2)))
    labels, _ = ndimage.label(autocorrelation > threshold)
    origin = labels[tuple(size // 2 for size in pattern.shape)]
    if origin == 0:
        return (None,) * pattern.ndim
    patch = ndimage.find_objects((labels == origin).astype(np.int8))[0]
    widths = [part.stop - part.start for part in patch]
    return tuple(None if w >= size - 1 else (w + 1) / 2 for w, size in zip(widths, pattern.shape, strict=True))


def _geometry(geometry: Geometry, shape: tuple[int, ...]) -> dict[str, Any]:
    known = {name: getattr(geometry, name) for name in PLAIN_FACTS}
    known |= {"pixel_m": geometry.pixel_m} if geometry.pixel_m else {name: getattr(geometry, name) for name in PIXELS}
    if geometry.object_pixels_m(shape[-2:]) is not None:
        known["object_pixel_m"] = list(geometry.object_pixels_m(shape[-2:]))
    known["sample_angles_deg"] = {circle.name: circle.angle_deg for circle in geometry.sample_circles}
    known["detector_angles_deg"] = {circle.name: circle.angle_deg for circle in geometry.detector_circles}
    if (scan := geometry.scan) is not None:
        ends = {"first": scan.positions[0], "last": scan.positions[-1], "positions": len(scan.positions)}
        known["scan"] = {"motor": scan.motor, "unit": scan.unit, **ends}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in known.items() if value}


def _bragg(geometry: Geometry, shape: tuple[int, ...]) -> dict[str, Any]:
    """Voxel axes and lattice plane spacing of a rocking curve whose geometry is complete; else what it lacks."""
    if len(shape) != 3 or (geometry.rocking_step_rad is None and geometry.scan is None):
        return {}
    try:
        frame = bragg_frame(geometry, shape)
    except InputError as error:
        return {"voxels_unknown": str(error)}
    arrays = {name: getattr(frame, name).tolist() for name in BRAGG_FACTS}
    return {**arrays, "d_spacing_nm": frame.d_spacing_nm, "bragg_angle_deg": frame.bragg_angle_deg}


def describe_measurement(measurement: Measurement) -> dict[str, Any]:
    """Counts, mask, geometry and sampling of a measurement."""
    intensity, measured = measurement.intensity, measurement.measured
    stacked = measurement.stack in ("shots", "movie")
    counts = np.where(measured, intensity, 0)
    photons = counts.reshape(measurement.pattern_count, -1).sum(1, dtype=np.float64)
    pattern, mask = (counts.mean(0), np.ones_like(measured[0])) if stacked else (counts, measured)
    mask = (measured if measured.ndim == 2 else measured.all(0)) if stacked else mask
    extent = estimate_object_extent(pattern, mask)
    return {
        "stack": measurement.stack,
        "shape": list(intensity.shape),
        "patterns": measurement.pattern_count,
        "photons_total": float(photons.sum()),
        "photons_per_pattern": {
            "mean": float(photons.mean()),
            "min": float(photons.min()),
            "max": float(photons.max()),
        },
        "brightest_pixel": float(np.max(intensity, where=np.broadcast_to(measured, intensity.shape), initial=0)),
        "masked_share": float(1 - measured.mean()),
        "geometry": _geometry(measurement.geometry, intensity.shape),
        **(_bragg(measurement.geometry, intensity.shape) if measurement.stack == "volume" else {}),
        "object_extent_px_estimate": list(extent),
        "oversampling_ratio_estimate": [e and n / e for e, n in zip(extent, pattern.shape, strict=True)],
        "probe_modes": 0 if measurement.probe_modes is None else len(measurement.probe_modes),
        **_known_scene(measurement),
        "provenance": measurement.provenance,
    }


def _known_scene(measurement: Measurement) -> dict[str, Any]:
    """Static region and frame times, where there are any."""
    facts: dict[str, Any] = {}
    if (known := measurement.object_support) is not None:
        facts["object_support_px"] = int(known.sum()) // (
            len(known) if known.ndim > len(measurement.pattern_shape) else 1
        )
    if (region := measurement.static_region) is not None:
        support = measurement.known_static_support
        regions = len(region) if region.ndim > len(measurement.pattern_shape) else 1
        facts["static_region"] = {
            "support_px": int(support.sum()) // (len(support) if support.ndim > len(measurement.pattern_shape) else 1),
            "photons": float((np.abs(region) ** 2).sum(dtype=np.float64) / regions),
        }
    if (times := measurement.frame_times_s) is not None:
        facts["frame_interval_s"] = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return facts


def _image(image: np.ndarray, support: np.ndarray, stack: str, geometry: Geometry) -> dict[str, Any]:
    patterns = len(image) if stack in ("shots", "movie") else 1
    return {
        "stack": stack,
        "shape": list(image.shape),
        "photons_per_pattern": {"mean": float((np.abs(image) ** 2).sum(dtype=np.float64) / patterns)},
        "support_px": int(support.sum()) // patterns,
        "geometry": _geometry(geometry, image.shape),
        **(_bragg(geometry, image.shape) if stack == "volume" else {}),
    }


def describe_reconstruction(result: Reconstruction) -> dict[str, Any]:
    """Object, method, runs and scores of a reconstruction."""
    trace = result.error_trace
    return {
        **_image(result.object, result.support, result.stack, result.geometry),
        "method": result.method,
        **_choice(result),
        "recipe": result.recipe,
        "forward": {name: _shape_or_value(value) for name, value in result.forward.items()},
        "iterations": 0 if trace is None or trace.ndim == 0 else int(trace.shape[-1]),
        "runs_kept": 0 if result.runs is None else len(result.runs),
        "run_scores": {name: values.tolist() for name, values in result.run_scores.items()},
        "free_pixels": 0 if result.free_pixels is None else int(result.free_pixels.sum()),
        "seconds": result.seconds,
        "device": result.device,
        "backend": result.backend,
        "provenance": result.provenance,
    }


def _choice(result: Reconstruction) -> dict[str, Any]:
    """What was chosen and why, where the method chooses among others."""
    told = result.choice or {}
    return {name: told[name] for name in ("seen", "chosen", "because") if name in told}


def _describe_truth(path: Path) -> dict[str, Any]:
    with open_source(path) as source:
        image, support, stack = read_image(source)
        facts = _image(image, support, stack, read_geometry(source))
        extra = {name: _shape_or_value(value) for name, value in read_extra(source).items()}
        return {**facts, "extra": extra, "provenance": cxi_layout.read_provenance(source)}


def _shape_or_value(value: Any) -> Any:
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else value


def _describe_crystal(path: Path) -> dict[str, Any]:
    """What `cdipipe multipeak` told of several reflections."""
    with open_source(path) as source:
        group = "/entry_1/crystal_1"
        density, voxel = source.array(f"{group}/density"), source.array(f"{group}/voxel_size")
        if density is None or voxel is None:
            raise InputError(f"{source.where(group)}: expected density and voxel_size of a crystal")
        told = cxi_layout.read_json(source, f"{group}/numbers")
        return {
            "shape": list(density.shape),
            "voxel_nm": float(voxel) * 1e9,
            **told,
            "provenance": cxi_layout.read_provenance(source),
        }


def describe(name: str) -> dict[str, Any]:
    """Plain data on a CXI file of any kind, or on the patterns in another format (``FILE::KEY`` picks an array).

    Patterns that fill much memory are not read.

    Raises
    ------
    InputError
        The file is damaged, of an unknown format, or holds nothing usable.
    """
    path, key = split_key(name)
    if reader_of(path).name != "cxi" or key is not None:
        return inspect_file(name)
    kind = cxi.file_kind(path)
    if kind == "measurement" and cxi.patterns_bytes(path) > WHOLE_BYTES:
        facts = {key: value for key, value in inspect_file(name).items() if key not in ("file", "kind")}
    elif kind == "measurement":
        facts = describe_measurement(cxi.read_measurement(path))
    elif kind == "reconstruction":
        facts = describe_reconstruction(cxi.read_reconstruction(path))
    elif kind == "crystal":
        facts = _describe_crystal(path)
    else:
        facts = _describe_truth(path)
    return {"file": str(path), "kind": kind, **facts}
