"""A page of all shots of a stack, each with small pictures of its pattern and its object, to be sorted."""

from __future__ import annotations

import base64
import importlib.resources
import io
import json

import numpy as np

from cdipipe.measurement import Measurement, Reconstruction
from cdipipe.metrics.shots import Column

TILE_PX, ACROSS = 40, 50
"""Side of a small picture, and shots in a row of the sheet that holds them all."""
MOST_SHOTS = 2000
"""Shots that a page shows, the best by their score: a page of more is slow to open."""
QUALITY = 60


def write_page(columns: list[Column], measurement: Measurement, result: Reconstruction | None, title: str) -> str:
    """The page, which needs no other file and no network.

    Parameters
    ----------
    columns : of :func:`cdipipe.metrics.shots.table_of`
    measurement : the stack
    result : its reconstruction, or None
    title : over the page
    """
    import jinja2

    scores = next((column.values for column in columns if column.name == "score"), np.zeros(measurement.pattern_count))
    shown = np.sort(np.argsort(-scores, kind="stable")[:MOST_SHOTS])
    head = [{"name": column.name, "meaning": column.meaning} for column in columns]
    rows = [[_plain(column.values[n]) for column in columns] for n in shown]
    template = importlib.resources.files("cdipipe.figures").joinpath("shots.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(template).render(
        title=title,
        total=measurement.pattern_count,
        data=json.dumps({"head": head, "rows": rows}, allow_nan=False).replace("</", "<\\/"),
        sheet=_sheet(measurement, result, shown),
        width=TILE_PX * (1 if result is None else 2),
        tile=TILE_PX,
        across=ACROSS,
    )


def _plain(value) -> str | float | None:
    if isinstance(value, str):
        return str(value)
    return None if not np.isfinite(value) else float(f"{value:.5g}")


def _sheet(measurement: Measurement, result: Reconstruction | None, shown: np.ndarray) -> str:
    """All small pictures in one, as a data URL: patterns on a logarithmic scale, amplitudes each on its own."""
    from PIL import Image

    wide = TILE_PX * (1 if result is None else 2)
    sheet = Image.new("L", (ACROSS * wide, -(-len(shown) // ACROSS) * TILE_PX))
    used = np.broadcast_to(measurement.measured, measurement.intensity.shape)
    half = None if result is None else _half_side(result.support)
    for place, number in enumerate(shown):
        corner = (place % ACROSS * wide, place // ACROSS * TILE_PX)
        light = np.log1p(np.where(used[number], np.maximum(measurement.intensity[number], 0), 0))
        sheet.paste(_tile(light), corner)
        if result is not None:
            sheet.paste(_tile(_around(np.abs(result.object[number]), half)), (corner[0] + TILE_PX, corner[1]))
    content = io.BytesIO()
    sheet.save(content, format="webp", quality=QUALITY, method=4)
    return "data:image/webp;base64," + base64.b64encode(content.getvalue()).decode("ascii")


def _tile(values: np.ndarray):
    from PIL import Image

    largest = float(values.max())
    grey = np.zeros(values.shape, np.uint8) if largest <= 0 else np.rint(255 * values / largest).astype(np.uint8)
    return Image.fromarray(grey).resize((TILE_PX, TILE_PX), Image.Resampling.BOX)


def _half_side(supports: np.ndarray) -> int:
    """Half the side of a square that most objects fit into."""
    spans = [max(np.ptp(index) + 1 for index in np.nonzero(support)) for support in supports if support.any()]
    return int(np.percentile(spans, 90) * 0.6) + 2 if spans else min(supports.shape[1:]) // 2


def _around(amplitude: np.ndarray, half: int) -> np.ndarray:
    """A square about the object's middle, edges of the array wrapped around."""
    power = amplitude.astype(float) ** 2
    middle = []
    for axis, size in enumerate(amplitude.shape):
        turns = np.exp(2j * np.pi * np.arange(size) / size)
        middle.append(round(np.angle((power.sum(1 - axis) * turns).sum()) / (2 * np.pi) * size))
    moved = np.roll(amplitude, [n // 2 - m for n, m in zip(amplitude.shape, middle, strict=True)], (0, 1))
    rows, columns = (slice(max(0, n // 2 - half), n // 2 + half) for n in amplitude.shape)
    return moved[rows, columns]
