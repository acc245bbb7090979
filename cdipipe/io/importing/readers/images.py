"""Images of detectors: EDF and CBF, by fabio."""

from __future__ import annotations

import math
import re
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.readers.container import ONLY, Container, check_kind, listed
from cdipipe.io.memory import check_size
from cdipipe.io.stored import Index, StoredArray, box_shape

ELEMENTS = {"signed 32-bit integer": np.int32, "unsigned 32-bit integer": np.uint32}
ELEMENTS |= {"signed 16-bit integer": np.int16, "unsigned 16-bit integer": np.uint16}
ELEMENTS |= {"signed 8-bit integer": np.int8, "unsigned 8-bit integer": np.uint8, "signed 64-bit integer": np.int64}


class Frames(StoredArray):
    """Frames of an EDF file."""

    frames_first = True

    def __init__(self, image: Any, shape: tuple[int, ...], dtype: np.dtype, where: str):
        super().__init__(shape, dtype, where)
        self.image = image

    def get(self, index: Index) -> np.ndarray:
        *lead, rows, columns = index
        result = np.empty(box_shape(index), self.dtype)
        frames = result.reshape(-1, *result.shape[-2:])
        numbers = range(lead[0].start, lead[0].stop) if lead else range(1)
        for place, number in enumerate(numbers):
            data = self.image.get_frame(number).data
            if data.shape != self.shape[-2:]:
                raise InputError(f"{self.where}: its frames differ in shape")
            frames[place] = data[rows, columns]
        return result


def open_edf(path: Path, label: str, stack: ExitStack) -> Container:
    """ESRF data file, one or many frames."""
    from fabio.edfimage import EdfImage

    image = stack.enter_context(EdfImage().read(str(path)))
    shape = tuple(image.shape)
    check_size(shape, 8, label)
    if any(tuple(image.get_frame(number).shape) != shape for number in range(image.nframes)):
        raise InputError(f"{label}: its {image.nframes} frames differ in shape")
    if len(shape) != 2:
        raise InputError(f"{label}: its frames have shape {shape}; allowed: (H, W)")
    dtype = np.dtype(image.dtype)
    check_kind(dtype, label)
    header = {str(name): str(text) for name, text in image.header.items()}
    frames = Frames(image, shape if image.nframes == 1 else (image.nframes, *shape), dtype, label)
    return Container("edf", label, {ONLY: listed(frames)}, header=header)


class CbfArray(StoredArray):
    """The one image of a CBF file, unpacked when it is read."""

    def __init__(self, shape: tuple[int, int], dtype: np.dtype, label: str, path: Path):
        super().__init__(shape, dtype, label)
        self.path = path

    def get(self, index: Index) -> np.ndarray:
        from fabio.cbfimage import CbfImage

        with CbfImage().read(str(self.path)) as image:
            if image.data.shape != self.shape:
                raise InputError(f"{self.where}: declares shape {self.shape} but holds {image.data.shape}: damaged")
            return image.data[index].astype(self.dtype, copy=False)


def open_cbf(path: Path, label: str, stack: ExitStack) -> Container:
    """Crystallographic binary file (Pilatus); its gaps are negative counts."""
    content = _content(path, label)
    section = content.find(b"--CIF-BINARY-FORMAT-SECTION--")
    start = content.find(b"\x0c\x1a\x04\xd5", section)
    if section < 0 or start < 0:
        raise InputError(f"{label}: no CBF binary section inside, or cut off before it")
    head = content[section:start]
    sizes = {match[0].lower(): int(match[1]) for match in re.findall(rb"X-Binary-([\w-]+):\s*(\d+)", head)}
    check_size((sizes.get(b"number-of-elements", 1), 1), 8, label)
    shape = (sizes.get(b"size-second-dimension", 1), sizes.get(b"size-fastest-dimension", 1))
    check_size(shape, 8, label)
    kind = re.search(rb"X-Binary-Element-Type:\s*\"([^\"]*)\"", head)
    dtype = np.dtype(ELEMENTS.get(kind.group(1).decode("ascii", "replace").lower() if kind else "", np.int32))
    text = content[:section].decode("utf-8", "replace")
    header = dict(re.findall(r"^(_[\w.\[\]-]+)\s+([^\s;].*?)\s*$", text, re.MULTILINE))  # of a full CBF
    header["_array_data.header_contents"] = _comments(text)
    return Container("cbf", label, {ONLY: listed(CbfArray(shape, dtype, label, path))}, header=header)


def _comments(text: str) -> str:
    """What the detector wrote between the two semicolons, or the whole text where there are none."""
    found = re.search(r"_array_data\.header_contents\s*\r?\n;(.*?)\r?\n;", text, re.DOTALL)
    return found.group(1).strip() if found else text


def _content(path: Path, label: str) -> bytes:
    check_size((math.ceil(path.stat().st_size / 8), 1), 8, label) if path.stat().st_size else None
    return path.read_bytes()
