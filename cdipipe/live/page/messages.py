"""What goes over the wire.

A message to the browser is binary, little-endian::

    offset  size  what
    0       4     "CDL1"
    4       4     length n of the text, uint32
    8       n     text: JSON in UTF-8, an object
    8 + n         zeros, then the arrays, one after the other; each begins at a multiple of 8

``text.kind`` says what it is (``now``, ``hits``, ``history``), ``text.arrays`` lists the arrays: ``name``, ``type``
(``u1``: bytes, ``f4``: single precision), ``shape`` (C order) and ``offset`` in bytes from the start of the message.
Numbers that are not known are ``null``.

What a browser sends is JSON text of at most :data:`MAX_WISH_BYTES`, an object with ``do`` (:data:`Wish`). Its only
answers are what the next messages show, or ``{"refused": "why"}`` as text.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

MAGIC = b"CDL1"
ALIGN = 8
MAX_WISH_BYTES = 1024
TYPES = {np.dtype("uint8"): "u1", np.dtype("float32"): "f4"}


def pack(kind: str, text: dict, arrays: dict[str, np.ndarray]) -> bytes:
    """One message, see the module's text.

    Parameters
    ----------
    kind : what it is
    text : what JSON can say; NaN and infinity become null
    arrays : of uint8 or float32
    """
    listed = [{"name": name, "type": TYPES[a.dtype], "shape": a.shape, "offset": 0} for name, a in arrays.items()]
    head = {"kind": kind, **_plain(text), "arrays": listed}
    room = 8 + 16 * len(listed)  # the offsets take more digits once they are known
    begin = _aligned(len(json.dumps(head).encode()) + room)
    place = begin
    for entry, array in zip(listed, arrays.values(), strict=True):
        entry["offset"] = place
        place = _aligned(place + array.nbytes)
    data = json.dumps(head, allow_nan=False).encode()
    parts = [MAGIC, struct.pack("<I", len(data)), data, bytes(begin - 8 - len(data))]
    for array in arrays.values():
        parts += [array.tobytes(), bytes(-array.nbytes % ALIGN)]
    return b"".join(parts)


def unpack(message: bytes) -> tuple[dict, dict[str, np.ndarray]]:
    """Text and arrays of a message, as a program other than the page would read it."""
    if message[:4] != MAGIC:
        raise ValueError("not a message of the live page")
    (length,) = struct.unpack_from("<I", message, 4)
    text = json.loads(message[8 : 8 + length])
    arrays = {}
    for entry in text.pop("arrays"):
        count = math.prod(entry["shape"])
        values = np.frombuffer(message, f"<{entry['type']}", count, entry["offset"])
        arrays[entry["name"]] = values.reshape(entry["shape"])
    return text, arrays


def _aligned(place: int) -> int:
    return place + -place % ALIGN


def _plain(value):
    """The value with null for what is not a finite number."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Seen(_Wish):
    """The browser has taken in the messages sent so far and may have newer ones."""

    do: Literal["seen"]


class Pause(_Wish):
    """Leave frames unphased, or go on."""

    do: Literal["pause"]
    is_paused: bool


class Method(_Wish):
    """Phase with another of the methods offered."""

    do: Literal["method"]
    method: str = Field(min_length=1, max_length=64)


class Threshold(_Wish):
    """Phase frames from this hit score on; None: every frame."""

    do: Literal["threshold"]
    hit_threshold: float | None = Field(ge=-1e12, le=1e12, allow_inf_nan=False)


Wish = Annotated[Seen | Pause | Method | Threshold, Field(discriminator="do")]
_READER: TypeAdapter[Seen | Pause | Method | Threshold] = TypeAdapter(Wish)


def read_wish(text: str) -> Seen | Pause | Method | Threshold:
    """What a browser asks for; a ``ValueError`` where it is not one of :data:`Wish`."""
    return _READER.validate_json(text)
