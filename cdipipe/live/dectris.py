"""Messages of DECTRIS detectors (SIMPLON stream), as they are read.

Version 1 sends JSON headers and a blob in parts of one message (``dheader-1.0``, ``dimage-1.0``, ``dseries_end-1.0``).
Version 2 sends one CBOR item per message; arrays have tag 40 (RFC 8746), their typed arrays tags 64 to 87, and
compressed bytes tag 56500.

References
----------
SIMPLON API reference, https://github.com/dectris/documentation (stream v1, stream v2)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from cdipipe.live.dectris_compression import decompress

MULTI_DIMENSIONAL, COMPRESSED, SELF_DESCRIBED = 40, 56500, 55799
TYPED_ARRAYS = {
    64: "u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "u1", 69: "<u2", 70: "<u4", 71: "<u8", 72: "i1", 73: ">i2",
    74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8", 80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4",
    86: "<f8",
}  # fmt: skip
"""Tags of RFC 8746 and the type of their numbers."""


@dataclass(frozen=True)
class Message:
    """One message.

    Parameters
    ----------
    kind : ``start``, ``image``, ``end``, or ``other``
    series, number : of the image
    read : unpacks the image (H, W); raises ValueError for damaged bytes
    facts : of a start: ``energy_ev``, ``distance_m``, ``pixel_x_m``, ``pixel_y_m``, as far as it tells
    mask : (H, W) bool, pixels that can be trusted, of a start that tells
    """

    kind: Literal["start", "image", "end", "other"]
    series: int = 0
    number: int = -1
    read: Callable[[], np.ndarray] | None = None
    facts: dict[str, float] = field(default_factory=dict)
    mask: np.ndarray | None = None


def parse(parts: list[bytes]) -> Message:
    """A message of either version.

    Raises
    ------
    ValueError   it is none, or damaged
    """
    if not parts:
        raise ValueError("an empty message")
    try:
        return _parse_json(parts) if bytes(parts[0][:1]) == b"{" else _parse_cbor(bytes(parts[0]))
    except ValueError:
        raise
    except (KeyError, TypeError, IndexError, AttributeError, OverflowError, RecursionError, EOFError) as error:
        raise ValueError(f"a message that is not understood ({type(error).__name__}: {error})") from None


# ---- version 1: JSON


def _parse_json(parts: list[bytes]) -> Message:
    header = json.loads(bytes(parts[0]))
    kind, series = str(header["htype"]).partition("-")[0], int(header.get("series", 0))
    if kind == "dheader":
        return Message("start", series, facts=_facts_json(parts), mask=_mask_json(parts))
    if kind == "dseries_end":
        return Message("end", series)
    if kind != "dimage":
        return Message("other", series)
    about, blob = json.loads(bytes(parts[1])), parts[2]
    return Message("image", series, int(header["frame"]), lambda: _image_json(about, bytes(blob)))


def _image_json(about: dict, blob: bytes) -> np.ndarray:
    try:
        shape = tuple(int(length) for length in reversed(about["shape"]))  # columns come first
        dtype = np.dtype(str(about["type"])).newbyteorder("<")
        encoding = str(about.get("encoding", "<")).rstrip("<>")
    except (KeyError, TypeError) as error:
        raise ValueError(f"an image header that is not understood ({error})") from None
    algorithm = "bslz4" if encoding.startswith("bs") else encoding or "none"
    return _as_image(decompress(blob, algorithm, dtype, _bytes_of(shape, dtype), has_header=False), shape, dtype)


FACTS_JSON = {
    "photon_energy": "energy_ev",
    "detector_distance": "distance_m",
    "x_pixel_size": "pixel_x_m",
    "y_pixel_size": "pixel_y_m",
}


def _facts_json(parts: list[bytes]) -> dict[str, float]:
    if len(parts) < 2 or not bytes(parts[1]).startswith(b"{"):
        return {}
    return _numbers(json.loads(bytes(parts[1])), FACTS_JSON)


def _mask_json(parts: list[bytes]) -> np.ndarray | None:
    for place, part in enumerate(parts[:-1]):
        if bytes(part[:1]) == b"{" and b"dpixelmask" in bytes(part[:200]):
            about = json.loads(bytes(part))
            shape = tuple(int(length) for length in reversed(about["shape"]))
            return np.frombuffer(bytes(parts[place + 1]), np.dtype(about["type"]).newbyteorder("<")).reshape(shape) == 0
    return None


# ---- version 2: CBOR


FACTS_CBOR = {
    "incident_energy": "energy_ev",
    "detector_translation": "distance_m",
    "pixel_size_x": "pixel_x_m",
    "pixel_size_y": "pixel_y_m",
}


def _parse_cbor(data: bytes) -> Message:
    import cbor2

    try:
        item = cbor2.loads(data)
    except cbor2.CBORDecodeError as error:
        raise ValueError(f"damaged CBOR ({error})") from None
    item = item.value if getattr(item, "tag", None) == SELF_DESCRIBED else item
    if not isinstance(item, Mapping):
        raise ValueError("a CBOR item that is no message")
    kind, series = item.get("type"), int(item.get("series_id", 0))
    if kind == "start":
        return Message("start", series, facts=_facts_cbor(item), mask=_mask_cbor(item))
    if kind == "image":
        channels = item["data"]
        return Message("image", series, int(item["image_id"]), lambda: _array_of(next(iter(channels.values()))))
    return Message("end" if kind == "end" else "other", series)


def _facts_cbor(item: Mapping) -> dict[str, float]:
    translation = item.get("detector_translation")
    if isinstance(translation, (list, tuple)) and len(translation) == 3:
        item = {**item, "detector_translation": translation[2]}
    return _numbers(item, FACTS_CBOR)


def _mask_cbor(item: Mapping) -> np.ndarray | None:
    masks = item.get("pixel_mask")
    if not isinstance(masks, Mapping) or not masks:
        return None
    return _array_of(next(iter(masks.values()))) == 0


def _array_of(tagged: Any) -> np.ndarray:
    """An array of tag 40: its shape, and a typed array whose bytes may be compressed.

    Raises
    ------
    ValueError   anything else
    """
    try:
        if tagged.tag != MULTI_DIMENSIONAL:
            raise ValueError(f"tag {tagged.tag} where an array of tag 40 belongs")
        (rows, columns), numbers = tagged.value
        dtype = np.dtype(TYPED_ARRAYS[numbers.tag])
        shape, content = (int(rows), int(columns)), numbers.value
        if not isinstance(content, bytes):
            if content.tag != COMPRESSED:
                raise ValueError(f"tag {content.tag} where compressed bytes of tag 56500 belong")
            algorithm, _item, packed = content.value
            content = decompress(packed, algorithm, dtype, _bytes_of(shape, dtype))
    except (AttributeError, TypeError, KeyError) as error:
        raise ValueError(f"an array that is not understood ({error})") from None
    return _as_image(content, shape, dtype)


# ---- both


def _numbers(found: Mapping, names: dict[str, str]) -> dict[str, float]:
    """Positive numbers by our names."""
    pairs = ((ours, found.get(theirs)) for theirs, ours in names.items())
    return {name: float(value) for name, value in pairs if isinstance(value, (int, float)) and value > 0}


def _bytes_of(shape: tuple[int, ...], dtype: np.dtype) -> int:
    if len(shape) != 2 or min(shape) < 1:
        raise ValueError(f"an image of shape {shape}")
    return shape[0] * shape[1] * dtype.itemsize


def _as_image(data: bytes, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if len(data) != _bytes_of(shape, dtype):
        raise ValueError(f"{len(data)} bytes for an image of shape {shape} and {dtype}")
    return np.frombuffer(data, dtype).reshape(shape)
