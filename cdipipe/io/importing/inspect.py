"""What a file of another tool holds, told without reading its patterns."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing import geometry
from cdipipe.io.importing.choose import candidates, why_no_pattern
from cdipipe.io.importing.files import reading, split_key, unpacked
from cdipipe.io.importing.find import find
from cdipipe.io.importing.found import Found
from cdipipe.io.importing.readers import reader_of
from cdipipe.io.importing.readers.container import Container
from cdipipe.io.stored import StoredArray
from cdipipe.measurement import Geometry

READ_BYTES = 2**26
"""Numbers up to so many are read for their least, largest and sum."""
LONGEST_LIST = 40
CHOOSE = "choose one with FILE::KEY"


def inspect_file(name: str) -> dict[str, Any]:
    """The patterns of a file and what lies beside them; of a file with several arrays that could be them, all arrays.

    Raises
    ------
    InputError   damaged, of an unknown format, or without any array
    """
    with ExitStack() as stack:
        try:
            return _describe(find(name, None, stack))
        except InputError:
            listed = {} if split_key(name)[1] else _list_arrays(name)
            if len(listed) < 2:
                raise
            return {"file": str(split_key(name)[0]), "kind": "arrays", "arrays": listed, "which": CHOOSE}


def _describe(found: Found) -> dict[str, Any]:
    array, mask = found.array, found.beside.get("mask")
    hints = geometry.from_found(found)
    return {
        "file": found.where,
        "kind": "array",
        "array": found.key,
        "chosen": found.reason if found.key else "",
        "shape": list(array.shape),
        "dtype": str(array.dtype),
        **_statistics(array),
        "mask": f"{mask.name} {mask.values.dtype} {tuple(mask.values.shape)}" if mask else "",
        "geometry": _known(hints.geometry),
        "notes": [*found.notes, *hints.notes],
        "never_written": _absent(array),
    }


def _statistics(array: StoredArray) -> dict[str, Any]:
    if array.nbytes > READ_BYTES:
        return {"size": f"{array.nbytes / 2**30:.3g} GiB, not read"}
    values = array.all()
    finite = values[np.isfinite(values)]
    facts: dict[str, Any] = {"not_finite": int(values.size - finite.size)}
    if finite.size:
        facts |= {"min": finite.min().item(), "max": finite.max().item(), "sum": float(finite.sum(dtype=np.float64))}
    return facts


def _absent(array: StoredArray) -> str:
    """How many frames were never written; empty where all were."""
    if array.complete:
        return ""
    present = array.present()
    absent = int(present.size - np.count_nonzero(present))
    return f"{absent} of {present.size} along the first axis" if absent else "parts of the frames"


def _known(found: Geometry) -> dict[str, Any]:
    """Plain numbers and texts that a geometry knows."""
    unknown = Geometry()
    values = {one.name: getattr(found, one.name) for one in fields(found)}
    return {
        name: value
        for name, value in values.items()
        if isinstance(value, (int, float, str)) and value != getattr(unknown, name)
    }


def _list_arrays(name: str) -> dict[str, str]:
    """All arrays of two or more axes with type and shape, those first that may be patterns."""
    path, _ = split_key(name)
    with ExitStack() as stack, reading(path):
        container = reader_of(Path(path)).open(stack.enter_context(unpacked(path)), str(path), stack)
    likely = candidates(container.arrays, container.groups)
    others = [each for each in container.arrays if each not in likely and _is_array(container, each)]
    return {each: _in_words(container, each) for each in (likely + others)[:LONGEST_LIST]}


def _is_array(container: Container, name: str) -> bool:
    return sum(size > 1 for size in container.arrays[name].shape) >= 2


def _in_words(container: Container, name: str) -> str:
    each = container.arrays[name]
    why = why_no_pattern(name, each.shape, each.dtype)
    return f"{each.dtype or 'numbers'} {tuple(each.shape)}" + (f", {why}" if why else "")
