"""Moving pictures of reconstructed movies: amplitude and phase side by side, frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.figures.frames import amplitude_limits, enlarge, join, paint
from cdipipe.figures.objects import crop_box, phase_limit
from cdipipe.io.atomic import atomic_path
from cdipipe.measurement import Reconstruction

FORMATS = ("gif", "webp")
SMALLEST_SIDE_PX = 192
"""Frames are enlarged by whole factors to at least this."""
PIXELS_PER_MOVIE = 4e7
"""Longer movies show only every n-th frame, so that a report stays small."""


def write_movie(result: Reconstruction, path: str | Path, command: str = "", frames_per_second: float = 12.0) -> None:
    """Write a movie as an animated picture: amplitude (grey) left, phase about its mean (diverging) right.

    Parameters
    ----------
    result : of stack ``movie``
    path : .gif or .webp

    Raises
    ------
    InputError   not a movie, or another suffix
    """
    from PIL import Image

    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in FORMATS:
        raise InputError(f"{path}: movies end in {', '.join('.' + f for f in FORMATS)}; got '{Path(path).suffix}'")
    if result.stack != "movie":
        raise InputError(f"{path}: only a movie moves; this is a reconstruction of stack '{result.stack}'")
    frames = [Image.fromarray(frame) for frame in render_frames(result)]
    first, *others = frames
    options = {"comment": command.encode()} if kind == "gif" else {}
    duration = round(1000 / frames_per_second)
    with atomic_path(path) as part:
        first.save(part, format=kind, save_all=True, append_images=others, duration=duration, loop=0, **options)


def render_frames(result: Reconstruction) -> list[np.ndarray]:
    """Frames as (rows, columns, 3) uint8; one scale for all."""
    box = crop_box(result.support.any(axis=0), 0.05)
    objects = result.object[(slice(None), *box)]
    objects = objects * np.exp(-1j * np.angle(objects.mean()))
    factor = max(1, -(-SMALLEST_SIDE_PX // min(objects.shape[1:])))
    step = max(1, round(len(objects) * objects[0].size * factor**2 / PIXELS_PER_MOVIE))
    shown = objects[::step]
    largest = float(amplitude_limits(shown, each=False)[0])
    span = phase_limit(np.where(np.abs(shown) > 0.1 * largest, shown, 0))
    return [enlarge(join(*paint(frame, largest, span)), factor) for frame in shown]
