"""Compression of DECTRIS detectors: LZ4, or bitshuffle with LZ4, as in the filters of HDF5.

Version 1 of the stream sends plain LZ4 without the filter's header.

References
----------
github.com/dectris/compression
"""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np

BITSHUFFLE_BLOCK = 8192
HEADER_BYTES = 12
LARGEST_FRAME_BYTES = 2**30
"""What claims to be larger is taken for damaged, before memory is asked for."""
Compression = Literal["bslz4", "lz4", "none"]


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
