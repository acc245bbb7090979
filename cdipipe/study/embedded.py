"""Files of a study as data URLs, so that its page needs no other: pictures, what a slider steps through, tables."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.figures.frames import stack_frames
from cdipipe.measurement import Reconstruction

LOSSLESS = {"lossless": True, "quality": 40, "method": 1}
"""0.4 of the bytes of a PNG; a higher quality up to method 3 saves nothing more."""
LEVELS = 31
"""Steps of each colour of a drawing, 8 of 255 each: nobody sees them, and they save a third of its bytes."""
ROUNDED = [round(round(value / 255 * LEVELS) / LEVELS * 255) for value in range(256)]
CSS_DPI, WIDE_PX = 96, 1600
"""Pictures that were drawn for more than this width are scrolled: on the page's own nobody could read them."""


def picture_of(path: Path, caption: str, is_drawing: bool = False) -> dict[str, Any]:
    """A picture as a data URL, with the command that its file says made it; ``width`` in CSS pixels of a wide one.

    ``pixels`` are its own width and height, so that the page has its shape before it is unpacked.

    A drawing, lines and text without values to read off its colours, is kept to within 4 of 255, all else exactly.
    """
    from PIL import Image, ImageSequence

    packed = io.BytesIO()
    with Image.open(io.BytesIO(bytes_of(path))) as image:
        command = image.info.get("Description") or image.info.get("comment", b"").decode()
        width = round(image.width * CSS_DPI / image.info.get("dpi", (CSS_DPI,))[0])
        pixels = image.size
        moving = {"duration": image.info["duration"], "loop": 0} if getattr(image, "n_frames", 1) > 1 else {}
        frames = (frame.convert("RGB") for frame in ImageSequence.Iterator(image))
        first, *others = (frame.point(ROUNDED * 3) for frame in frames) if is_drawing else frames
        first.save(packed, format="webp", save_all=bool(moving), append_images=others, **moving, **LOSSLESS)
    return {
        "url": data_url("webp", packed.getvalue()),
        "caption": caption,
        "command": command,
        "pixels": pixels,
        "width": width if width > WIDE_PX else None,
    }


def frames_of(result: Reconstruction, most: int) -> dict[str, Any] | None:
    """What a slider steps through, of a stack: small pictures as data URLs; None of a single pattern."""
    from PIL import Image

    frames = stack_frames(result, most)
    if frames is None:
        return None
    pictures = []
    for label, picture in zip(frames.labels, frames.pictures, strict=True):
        content = io.BytesIO()
        Image.fromarray(picture).save(content, format="webp", quality=80, method=4)
        pictures.append((label, data_url("webp", content.getvalue())))
    span = "π" if frames.span_rad == np.pi else f"{frames.span_rad:.1f}"
    return {
        "pictures": pictures,
        "first": frames.first,
        "caption": f"Amplitude, phase (−{span} to {span} rad) and support; the slider steps through them.",
    }


def tsv_link(path: Path) -> str | None:
    """The summary as a data URL, where it is."""
    if not path.is_file():
        return None
    return "data:text/tab-separated-values;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def data_url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64," + base64.b64encode(content).decode("ascii")


def bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; run the workflow that makes it first") from error
