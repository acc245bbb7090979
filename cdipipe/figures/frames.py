"""Small pictures of a stack to step through: amplitude, phase and support of its shots, frames or planes."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib
import numpy as np

from cdipipe.figures.objects import crop_box, phase_limit
from cdipipe.measurement import Reconstruction

MOST_FRAMES = 24
SIDES_PX = (120, 240)
"""Pictures are enlarged by whole factors to at least the first, and shrunk to at most the second."""
WORDS = {
    "shots": "pattern {index} of {count}",
    "movie": "frame {index} of {count}",
    "volume": "plane z = {offset:+d} px",
}
GAP_PX = 2


@dataclass(frozen=True)
class Frames:
    """Pictures to step through.

    Parameters
    ----------
    labels : what each shows
    pictures : (rows, columns, 3) uint8 of each: amplitude, phase, support side by side
    first : which to begin with
    span_rad : phases are drawn from minus to plus this
    """

    labels: list[str]
    pictures: list[np.ndarray]
    first: int
    span_rad: float


def stack_frames(result: Reconstruction, most: int = MOST_FRAMES) -> Frames | None:
    """Evenly chosen members of a stack, the planes of a volume along its first axis; None of a single pattern.

    Shots are independent: each has its own scale and is turned to a mean phase of zero. Frames and planes share both.
    """
    if result.stack not in WORDS or len(result.object) < 2:
        return None
    of_volume = result.stack == "volume"
    box = crop_box(result.support if of_volume else result.support.any(axis=0), 0.1)
    count, centre = len(result.object), len(result.object) // 2
    ends = (box[0].start, box[0].stop - 1) if of_volume else (0, count - 1)
    chosen = np.unique(np.linspace(*ends, min(most, ends[1] - ends[0] + 1)).round().astype(int))
    inside = (chosen, *box[-2:])
    objects, support = in_one_phase(result.object[inside], result.stack), result.support[inside]
    limits = amplitude_limits(objects, each=result.stack == "shots")
    span = phase_limit(np.where(np.abs(objects) > 0.1 * limits[:, None, None], objects, 0))
    return Frames(
        [WORDS[result.stack].format(index=index + 1, count=count, offset=index - centre) for index in chosen],
        [_fit(join(*paint(o, a, span), _black_and_white(s))) for o, a, s in zip(objects, limits, support, strict=True)],
        int(np.argmin(np.abs(chosen - centre))) if of_volume else 0,
        span,
    )


def in_one_phase(objects: np.ndarray, stack: str) -> np.ndarray:
    """Objects without the global phase that nothing determines: of each shot, of a movie or volume as a whole."""
    axes = (1, 2) if stack == "shots" else None
    mean = np.sum(np.abs(objects) * objects, axis=axes, keepdims=True)
    return objects * np.exp(-1j * np.angle(mean))


def amplitude_limits(objects: np.ndarray, each: bool) -> np.ndarray:
    """(N,) amplitude that is drawn brightest, of each object or one for all."""
    limits = np.quantile(np.abs(objects), 0.999, axis=(1, 2) if each else None)
    return np.broadcast_to(np.where(limits > 0, limits, 1.0), len(objects))


def paint(values: np.ndarray, largest: float, span: float) -> tuple[np.ndarray, np.ndarray]:
    """Amplitude (grey) and phase (hidden where the amplitude is small) of a (H, W) object, (H, W, 3) in 0 to 1."""
    maps = matplotlib.colormaps["gray"], matplotlib.colormaps["twilight_shifted" if span == np.pi else "RdBu_r"]
    magnitude = np.abs(values)
    amplitude = maps[0](np.clip(magnitude / largest, 0, 1))[..., :3]
    phase = maps[1](np.clip(np.angle(values) / (2 * span) + 0.5, 0, 1))[..., :3]
    phase[magnitude <= 0.1 * largest] = 0.7
    return amplitude, phase


def join(*panels: np.ndarray) -> np.ndarray:
    """Panels side by side with white gaps between them, uint8."""
    gap = np.ones((len(panels[0]), GAP_PX, 3))
    parts = [part for panel in panels for part in (panel, gap)][:-1]
    return (255 * np.concatenate(parts, axis=1)).astype(np.uint8)


def _black_and_white(mask: np.ndarray) -> np.ndarray:
    return np.repeat(mask[..., None], 3, axis=2).astype(float)


def _fit(picture: np.ndarray) -> np.ndarray:
    """The picture with its rows enlarged or shrunk to lie between the sides."""
    from PIL import Image

    rows = len(picture)
    if rows < SIDES_PX[0]:
        return enlarge(picture, -(-SIDES_PX[0] // rows))
    share = min(1.0, SIDES_PX[1] / rows)
    size = round(picture.shape[1] * share), round(rows * share)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX)) if share < 1 else picture


def enlarge(picture: np.ndarray, factor: int) -> np.ndarray:
    """Every pixel as a square of ``factor`` pixels."""
    return np.kron(picture, np.ones((factor, factor, 1), np.uint8))
