"""Many samples of a scene at once, as a corpus stores them: bit for bit those that ``simulate`` makes one by one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.corpus.shard import Batch
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.simulation.exposure import BYTES_PER_PIXEL, WORKING_BYTES_PER_PIXEL, Exposure, draw_exposures
from cdipipe.simulation.registry import Scene, SceneParameters

LARGEST_RECORD_ARRAY = 4096
"""Further truth with more elements than this is stored as an array ``extra_NAME``, not in the records."""


def draw_batch(scene: Scene, parameters: SceneParameters, seed: int, indices: range) -> Batch:
    """Arrays and records of the samples with these global indices.

    Returns
    -------
    Batch
        Arrays ``intensity`` float32, ``object`` complex64, ``support`` and ``measured`` bool, (n, ...) each; where the
        scene has them ``probe_modes``, ``static_region``, ``static_support``, ``object_support``, ``frame_times_s`` and
        ``extra_NAME``.
    """
    exposures = draw_exposures(scene, parameters, seed, indices)
    arrays = {name: np.stack(values) for name, values in _arrays(exposures).items()}
    photons = arrays["intensity"].sum(axis=tuple(range(1, arrays["intensity"].ndim)), dtype=np.float64)
    records = [
        {
            "index": index,
            "photons": float(total),
            "support_px": int(np.count_nonzero(e.sample.support)),
            "phase_range_rad": span,
            **_plain_extra(e.sample.extra or {}),
        }
        for index, e, total, span in zip(indices, exposures, photons, _phase_ranges(arrays), strict=True)
    ]
    return Batch(arrays, records)


def _arrays(exposures: list[Exposure]) -> dict[str, list[np.ndarray]]:
    arrays = {
        "intensity": [e.intensity for e in exposures],
        "object": [e.sample.object for e in exposures],
        "support": [e.sample.support for e in exposures],
        "measured": [e.measured for e in exposures],
    }
    for name in ("probe_modes", "static_region", "static_support", "object_support", "frame_times_s"):
        if getattr(exposures[0].sample, name) is not None:
            arrays[name] = [getattr(e.sample, name) for e in exposures]
    for name, value in (exposures[0].sample.extra or {}).items():
        if _is_large(value):
            arrays[f"extra_{name}"] = [e.sample.extra[name] for e in exposures]
    return arrays


def _is_large(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.size > LARGEST_RECORD_ARRAY


def _plain_extra(extra: dict[str, Any]) -> dict[str, Any]:
    """Further truth as plain data, nested under ``extra``."""
    plain = {name: _plain(value) for name, value in extra.items() if not _is_large(value)}
    return {"extra": plain} if plain else {}


def _plain(value: Any) -> Any:
    """Arrays as nested lists; NaN and infinity, which JSON does not know, as None."""
    if isinstance(value, (np.ndarray, np.generic)):
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _phase_ranges(arrays: dict[str, np.ndarray]) -> list[float]:
    """Largest minus smallest phase (-pi to pi) on the support of each sample, in rad."""
    phase, support = np.angle(arrays["object"]), arrays["support"]
    axes = tuple(range(1, phase.ndim))
    top = np.max(phase, axis=axes, where=support, initial=-4.0)
    bottom = np.min(phase, axis=axes, where=support, initial=4.0)
    return [round(max(0.0, float(span)), 6) for span in top - bottom]


def sample_bytes(scene: Scene, parameters: SceneParameters) -> int:
    """Uncompressed size of one sample in a corpus, from its parameters alone.

    Raises
    ------
    InputError   one sample does not fit into memory
    """
    pattern = parameters.size ** getattr(parameters, "dimensions", 2)
    pixels = pattern * getattr(parameters, "frames", 1)
    need, limit = pixels * 2 * BYTES_PER_PIXEL + pattern * WORKING_BYTES_PER_PIXEL, memory_limit_bytes()
    if need > limit:
        raise InputError(
            f"scene {scene.name}: a sample of {pixels} pixels needs {need / 2**30:.3g} GiB, the limit is "
            f"{limit / 2**30:.3g} GiB (CDIPIPE_MAX_GIB); take a smaller size"
        )
    return pixels * (4 + 8 + 1 + 1)
