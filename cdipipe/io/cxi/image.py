"""The object in a CXI file (``/entry_1/image_1``) and what belongs to a reconstruction."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import h5py
import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.cxi import layout
from cdipipe.io.hdf5 import Source
from cdipipe.measurement import Reconstruction, Stack

IMAGE_GROUP = "/entry_1/image_1"
RUNS_PATH = "/entry_1/runs"
SCORES_GROUP = "/entry_1/run_scores"
FREE_PIXELS_PATH = "/entry_1/free_pixels"


def write_image(entry: h5py.Group, image: np.ndarray, support: np.ndarray, stack: Stack) -> h5py.Group:
    """Write ``image_1``: the complex object, its support, and the same support as CXI bits in ``mask``."""
    if image.ndim != (2 if stack == "single" else 3) or support.shape != image.shape:
        raise ValueError(f"object {image.shape} and support {support.shape} do not fit the stack '{stack}'")
    group = layout.make_group(entry, "image_1", "NXdata")
    layout.write_attributes(group, signal="data")
    stored = layout.write_array(group, "data", image, _as(np.complex64))
    layout.write_attributes(stored, stack=stack, axes=layout.AXES[stack])
    layout.write_array(group, "mask", support, _outside_as_bits)
    layout.write_array(group, "support", support, _as(np.uint8))
    write_meaning(group, image.shape if stack == "volume" else image.shape[-2:])
    return group


def write_meaning(group: h5py.Group, shape: tuple[int, ...]) -> None:
    """What CXI says of our objects: exit waves in real space, centred at n // 2."""
    layout.write_text(group, "data_type", "exit wave")
    layout.write_text(group, "data_space", "real")
    centre = np.array([size // 2 for size in reversed(shape)], dtype=np.float64)
    layout.write_small(group, "image_center", centre)
    layout.write_small(group, "is_fft_shifted", np.int64(0))


def _as(dtype: type) -> Callable[[np.ndarray], np.ndarray]:
    return lambda part: np.ascontiguousarray(part, dtype=dtype)


def _outside_as_bits(support: np.ndarray) -> np.ndarray:
    return layout.measured_to_bits(np.asarray(support, dtype=bool), layout.PIXEL_IS_TO_BE_IGNORED)


def _read_support(source: Source, image: np.ndarray) -> np.ndarray:
    support = source.array(f"{IMAGE_GROUP}/support", "bool")
    if support is not None:
        support = support > 0
    elif (bits := source.array(f"{IMAGE_GROUP}/mask", "integer")) is not None:
        support = layout.bits_to_measured(bits)
    else:
        support = np.abs(image) > 0
    if support.shape != image.shape:
        raise InputError(f"{source.path}: support of shape {support.shape} does not fit the object {image.shape}")
    return support


def read_image(source: Source) -> tuple[np.ndarray, np.ndarray, Stack]:
    """Object (complex64), support (bool) and stack; raises InputError if they are missing or do not fit."""
    name = f"{IMAGE_GROUP}/data"
    image = source.array(name, "complex", np.complex64)
    if image is None:
        raise InputError(f"{source.path}: no object inside; looked for {name}")
    stack = layout.read_stack(source, name)
    stack = stack or {2: "single", 3: "volume"}.get(image.ndim)
    if stack is None or image.ndim != (2 if stack == "single" else 3):
        raise InputError(f"{source.where(name)} has shape {image.shape}; allowed: (H, W) or (N, H, W)")
    if not np.isfinite(image).all():
        raise InputError(f"{source.where(name)} has values that are not finite")
    return image, _read_support(source, image), stack


def write_results(entry: h5py.Group, result: Reconstruction) -> None:
    """Write all of a reconstruction but its object: method, recipe, scores, runs, free pixels, modes."""
    process = layout.make_group(entry["image_1"], "process_1", "NXprocess")
    layout.write_text(process, "method", result.method)
    layout.write_text(process, "device", result.device)
    layout.write_text(process, "backend", result.backend)
    layout.write_json(process, "recipe", result.recipe)
    _write_forward(process, result.forward)
    layout.write_number(process, "seconds", result.seconds)
    if result.error_trace is not None:
        layout.write_array(process, "error_trace", np.asarray(result.error_trace, dtype=np.float32))
    scores = layout.make_group(entry, "run_scores", "NXcollection")
    for name, values in result.run_scores.items():
        layout.write_array(scores, name, np.asarray(values, dtype=np.float64))
    arrays = {"runs": (result.runs, np.complex64), "free_pixels": (result.free_pixels, np.uint8)}
    arrays |= {"modes": (result.modes, np.complex64), "mode_weights": (result.mode_weights, np.float64)}
    for name, (values, dtype) in arrays.items():
        if values is not None:
            layout.write_array(entry, name, values, _as(dtype))


def _read_runs(source: Source, shape: tuple[int, ...]) -> np.ndarray | None:
    runs = source.array(RUNS_PATH, "complex", np.complex64)
    if runs is not None and runs.shape[1:] != shape:
        raise InputError(f"{source.where(RUNS_PATH)} has shape {runs.shape}; allowed: (R, {str(shape)[1:-1]})")
    return runs


def _read_score(source: Source, name: str) -> np.ndarray | None:
    values = source.array(name)
    if values is not None and values.ndim != 1:
        raise InputError(f"{source.where(name)} has shape {values.shape}; allowed: one number for each run, (R,)")
    return values


def read_results(source: Source, shape: tuple[int, ...]) -> dict[str, Any]:
    """Arguments of Reconstruction that :func:`write_results` stored; defaults for what is absent."""
    process = f"{IMAGE_GROUP}/process_1"
    free_pixels = source.array(FREE_PIXELS_PATH, "bool")
    scores = {name: _read_score(source, f"{SCORES_GROUP}/{name}") for name in source.group_names(SCORES_GROUP)}
    results: dict[str, Any] = {
        "recipe": layout.read_json(source, f"{process}/recipe"),
        "error_trace": source.array(f"{process}/error_trace", dtype=np.float32),
        "runs": _read_runs(source, shape),
        "run_scores": {name: values for name, values in scores.items() if values is not None},
        "free_pixels": None if free_pixels is None else free_pixels > 0,
        "modes": source.array("/entry_1/modes", "complex", np.complex64),
        "mode_weights": source.array("/entry_1/mode_weights"),
        "seconds": source.number(f"{process}/seconds"),
    }
    texts = {name: source.text(f"{process}/{name}") for name in ("method", "device", "backend")}
    results |= {name: text for name, text in texts.items() if text is not None}
    if forward := _read_forward(source, process):
        results["forward"] = forward
    return results


def _write_forward(process: h5py.Group, forward: dict[str, Any]) -> None:
    """The forward model: plain data as JSON, arrays (probe modes) as datasets beside it."""
    arrays = {name: values for name, values in forward.items() if isinstance(values, np.ndarray)}
    layout.write_json(process, "forward", {name: value for name, value in forward.items() if name not in arrays})
    group = layout.make_group(process, "forward_arrays", "NXcollection") if arrays else None
    for name, values in arrays.items():
        layout.write_array(group, name, values)


def _read_forward(source: Source, process: str) -> dict[str, Any]:
    names = source.group_names(f"{process}/forward_arrays")
    arrays = {name: source.array(f"{process}/forward_arrays/{name}", "complex", np.complex64) for name in names}
    return {**layout.read_json(source, f"{process}/forward"), **arrays}
