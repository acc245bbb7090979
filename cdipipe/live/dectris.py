"""Messages of DECTRIS detectors (SIMPLON stream), read and written.

Version 1 sends JSON headers and a blob in parts of one message (``dheader-1.0``, ``dimage-1.0``, ``dseries_end-1.0``).
Version 2 sends one CBOR item per message; arrays have tag 40 (RFC 8746), their typed arrays tags 64 to 87, and
compressed bytes tag 56500. Compression is LZ4 or bitshuffle with LZ4, as in the filters of HDF5; version 1 sends plain
LZ4 without the filter's header.

References
----------
SIMPLON API reference, https://github.com/dectris/documentation (stream v1, stream v2), github.com/dectris/compression
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

BITSHUFFLE_BLOCK = 8192
HEADER_BYTES = 12
MULTI_DIMENSIONAL, COMPRESSED, SELF_DESCRIBED = 40, 56500, 55799
TYPED_ARRAYS = {
    64: "u1", 65: ">u2", 66: ">u4", 67: ">u8", 68: "u1", 69: "<u2", 70: "<u4", 71: "<u8", 72: "i1", 73: ">i2",
    74: ">i4", 75: ">i8", 77: "<i2", 78: "<i4", 79: "<i8", 80: ">f2", 81: ">f4", 82: ">f8", 84: "<f2", 85: "<f4",
    86: "<f8",
}  # fmt: skip
"""Tags of RFC 8746 and the type of their numbers."""
LARGEST_FRAME_BYTES = 2**30
"""What claims to be larger is taken for damaged, before memory is asked for."""
Compression = Literal["bslz4", "lz4", "none"]


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


# ---- compression


def decompress(data: bytes, algorithm: str, dtype: np.dtype, size_bytes: int, has_header: bool = True) -> bytes:
    """Bytes of ``size_bytes`` of numbers.

    Parameters
    ----------
    algorithm : ``bslz4``, ``lz4`` or ``none``
    has_header : whether LZ4 begins with the header of the HDF5 filter; bitshuffle always does

    Raises
    ------
    ValueError   damaged, or of another size
    """
    import imagecodecs

    if not 0 < size_bytes <= LARGEST_FRAME_BYTES:
        raise ValueError(f"a frame of {size_bytes} bytes")
    try:
        if algorithm == "none":
            found = data
        elif algorithm == "lz4":
            found = imagecodecs.lz4h5_decode(data) if has_header else imagecodecs.lz4_decode(data, out=size_bytes)
        elif algorithm == "bslz4":
            found = _unshuffle(data, dtype.itemsize, size_bytes)
        else:
            raise ValueError(f"compression {algorithm!r}; known: bslz4, lz4, none")
    except (RuntimeError, struct.error) as error:  # errors of imagecodecs
        raise ValueError(f"damaged {algorithm} data ({error})") from None
    if len(found) != size_bytes:
        raise ValueError(f"{len(found)} bytes where the frame has {size_bytes}")
    return found


def _unshuffle(data: bytes, item: int, size_bytes: int) -> bytes:
    """Bitshuffle with LZ4: a header of 12 bytes, blocks with their packed sizes, and a rest of less than 8 numbers."""
    import imagecodecs

    total, block = struct.unpack(">QI", data[:HEADER_BYTES])
    if total != size_bytes or block % (8 * item) or not block:
        raise ValueError(f"a header of {total} bytes in blocks of {block}; the frame has {size_bytes}")
    shuffled, at, done = bytearray(total), HEADER_BYTES, 0
    ending = total % (8 * item)  # numbers that fill no group of 8 are stored as they are
    while done < total - ending:
        (packed,) = struct.unpack_from(">I", data, at)
        length = min(block, total - ending - done)
        piece = imagecodecs.lz4_decode(data[at + 4 : at + 4 + packed], out=length)
        if len(piece) != length:
            raise ValueError("a block of the wrong length")
        shuffled[done : done + length] = piece
        at, done = at + 4 + packed, done + length
    plain = imagecodecs.bitshuffle_decode(bytes(shuffled[:done]), itemsize=item, blocksize=block // item)
    return plain + data[at : at + ending] if ending else plain


def compress(values: np.ndarray, algorithm: Compression, has_header: bool = True) -> bytes:
    """The bytes of an array, packed; the inverse of :func:`decompress`."""
    import imagecodecs

    data, item = np.ascontiguousarray(values).tobytes(), values.dtype.itemsize
    if algorithm == "none":
        return data
    if algorithm == "lz4":
        return imagecodecs.lz4h5_encode(data) if has_header else imagecodecs.lz4_encode(data, header=False)
    packed = [struct.pack(">QI", len(data), BITSHUFFLE_BLOCK)]
    ending = len(data) % (8 * item)
    shuffled = imagecodecs.bitshuffle_encode(
        data[: len(data) - ending], itemsize=item, blocksize=BITSHUFFLE_BLOCK // item
    )
    for first in range(0, len(shuffled), BITSHUFFLE_BLOCK):
        piece = imagecodecs.lz4_encode(shuffled[first : first + BITSHUFFLE_BLOCK], header=False)
        packed += [struct.pack(">I", len(piece)), piece]
    return b"".join([*packed, data[len(data) - ending :]])


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


# ---- writing, for replays


class Writer:
    """Messages of one series as a detector sends them.

    Parameters
    ----------
    version : 1 (JSON) or 2 (CBOR)
    compression : of the images
    series : number of the series
    facts : ``energy_ev``, ``distance_m``, ``pixel_x_m``, ``pixel_y_m``, as far as they are known
    """

    def __init__(self, version: Literal[1, 2], compression: Compression = "bslz4", series: int = 1, facts=None):
        self.version, self.compression, self.series = version, compression, series
        self.facts = {name: value for name, value in (facts or {}).items() if value is not None}

    def start(self, shape: tuple[int, int], count: int, dtype=np.uint32) -> list[bytes]:
        """The message before the first image."""
        names = FACTS_JSON if self.version == 1 else FACTS_CBOR
        facts = {theirs: self.facts[ours] for theirs, ours in names.items() if ours in self.facts}
        if self.version == 1:
            size = {"x_pixels_in_detector": shape[1], "y_pixels_in_detector": shape[0], "nimages": count}
            header = {"htype": "dheader-1.0", "series": self.series, "header_detail": "basic"}
            return [_json(header), _json(facts | size)]
        if "detector_translation" in facts:
            facts["detector_translation"] = [0.0, 0.0, facts["detector_translation"]]
        about = {"series_unique_id": str(self.series), "number_of_images": count, "channels": ["threshold_1"]}
        size = {"image_size_x": shape[1], "image_size_y": shape[0], "image_dtype": np.dtype(dtype).name}
        return [_cbor({"type": "start", "series_id": self.series, **about, **size, **facts})]

    def pack(self, values: np.ndarray) -> bytes:
        """The bytes of an image, (H, W) of unsigned integers, compressed."""
        return compress(values, self.compression, has_header=self.version == 2)

    def image(self, number: int, values: np.ndarray, packed: bytes | None = None) -> list[bytes]:
        """The message of one image; ``packed`` saves its compression."""
        packed = self.pack(values) if packed is None else packed
        if self.version == 1:
            bits = {"bslz4": f"bs{8 * values.dtype.itemsize}-lz4", "lz4": "lz4", "none": ""}[self.compression]
            about = {"htype": "dimage_d-1.0", "shape": list(values.shape[::-1]), "type": values.dtype.name}
            header = {"htype": "dimage-1.0", "series": self.series, "frame": number, "hash": ""}
            more = {"encoding": f"{bits}<", "size": len(packed)}
            times = {"htype": "dconfig-1.0", "start_time": 0, "stop_time": 0, "real_time": 0}
            return [_json(header), _json(about | more), packed, _json(times)]
        import cbor2

        tag = {1: 64, 2: 69, 4: 70, 8: 71}[values.dtype.itemsize]
        content: Any = packed
        if self.compression != "none":
            content = cbor2.CBORTag(COMPRESSED, [self.compression, values.dtype.itemsize, content])
        array = cbor2.CBORTag(MULTI_DIMENSIONAL, [list(values.shape), cbor2.CBORTag(tag, content)])
        about = {"type": "image", "series_id": self.series, "series_unique_id": str(self.series), "image_id": number}
        return [_cbor({**about, "real_time": [0, 1], "data": {"threshold_1": array}})]

    def end(self) -> list[bytes]:
        """The message after the last image."""
        if self.version == 1:
            return [_json({"htype": "dseries_end-1.0", "series": self.series})]
        return [_cbor({"type": "end", "series_id": self.series, "series_unique_id": str(self.series)})]


def _json(item: dict) -> bytes:
    return json.dumps(item).encode()


def _cbor(item: dict) -> bytes:
    import cbor2

    return cbor2.dumps(cbor2.CBORTag(SELF_DESCRIBED, item))
