"""Attributes of groups and datasets."""

from __future__ import annotations

from typing import Any

import numpy as np

from cdipipe.io.hdf5.heap import check_heap, is_text

LONGEST = 2**16


def read_attribute(node: Any, name: str) -> str | float | None:
    """A number or a text, alone or in a list of one; None if it is absent or of another kind.

    Raises
    ------
    InputError   the file's texts cannot be read
    """
    if name not in node.attrs:
        return None
    attribute = node.attrs.get_id(name)
    if attribute.shape not in ((), (1,)) or (attribute.dtype.itemsize or 0) > LONGEST:
        return None
    if is_text(attribute.dtype):
        check_heap(node.file)
    elif attribute.dtype.kind not in "Siuf":
        return None
    value = node.attrs[name]
    value = value.item() if isinstance(value, (np.ndarray, np.generic)) and np.size(value) == 1 else value
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
