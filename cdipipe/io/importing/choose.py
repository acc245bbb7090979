"""Which of several arrays are patterns, and which one is meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.readers.container import Container, Listed

NEVER = {
    **dict.fromkeys(("mask", "masks", "masked", "badpixels", "deadpixels", "hotpixels"), "a mask"),
    **dict.fromkeys(("flat", "flats", "flatfield", "whitefield", "white", "gain", "gains"), "a flat field"),
    **dict.fromkeys(("dark", "darks", "darkfield", "background", "bkg", "bg", "pedestal", "pedestals"), "a dark"),
    **dict.fromkeys(("blank", "blanks"), "a blank"),
    **dict.fromkeys(("matrix", "ub", "orientation", "rotation"), "a matrix"),
    **dict.fromkeys(("error", "errors", "err", "sigma", "std", "variance", "uncertainties"), "an error"),
    **dict.fromkeys(("calibration", "calib", "efficiency", "threshold", "thresholds"), "a calibration"),
}
"""Words in the names of arrays that are no patterns, and what they are."""
SELDOM = ("sum", "mean", "average", "avg", "max", "min", "projection", "thumbnail", "preview", "probe", "object")
SELDOM += ("support", "weights", "weight", "reconstruction", "phase", "positions", "index", "indices")
"""Words in the names of arrays that are none where the file has others."""
SMALLEST_PATTERN = 5
LONGEST_LIST = 12
IMAGES = ("npy", "tif", "edf", "cbf")
"""Formats of which a file with one array holds what it is called."""


def words_of(name: str) -> list[str]:
    """Words that a name is made of: ``detector/pixelMask_1`` gives pixel, mask."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return [word.lower() for word in re.split(r"[^A-Za-z]+", spaced) if word]


def why_no_pattern(name: str, shape: tuple[int, ...], dtype: np.dtype | None) -> str | None:
    """What an array is, judged by name, shape and type, where it is no pattern; None where it may be one."""
    sizes = [size for size in shape if size > 1]
    if len(sizes) < 2:
        return "no array of two or more axes"
    for part in name.strip("/").split("/")[-2:]:
        words = words_of(part)
        for word in [*words, "".join(words)]:
            if word in NEVER:
                return f"{NEVER[word]} by its name"
    if dtype is not None and dtype.kind == "b":
        return "a mask by its type"
    if max(sizes[-2:]) < SMALLEST_PATTERN:
        return "a matrix by its shape"
    if len(sizes) == 2 and min(sizes) < SMALLEST_PATTERN:
        return "a table by its shape"
    return None


def candidates(arrays: Mapping[str, Listed], groups: Mapping[str, tuple[str, ...]]) -> list[str]:
    """Names of the arrays that may be the patterns; members of a stack are left to it."""
    members = {name for group in groups.values() for name in group}
    found = [
        name
        for name, each in arrays.items()
        if name not in members and why_no_pattern(name, each.shape, each.dtype) is None
    ]
    likely = [name for name in found if not set(words_of(name.rpartition("/")[2])) & set(SELDOM)]
    return likely or found


def choose(container: Container, wanted: str | None) -> str:
    """Name of the array that is meant.

    Parameters
    ----------
    wanted : as the user gave it, or None: the only one that may be the patterns

    Raises
    ------
    InputError   there is none, several, or none of this name; the message lists what there is and what to type
    """
    if wanted is not None:
        return _named(container, wanted)
    if container.kind in IMAGES and len(container.arrays) == 1:
        return next(iter(container.arrays))
    found = candidates(container.arrays, container.groups)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(several(container, found))
    raise InputError(nothing_found(container))


def choose_any(container: Container, wanted: str | None) -> str:
    """Name of the array that is meant where it need not be patterns: a mask, a dark, a support. Raises as choose."""
    if wanted is not None:
        return _named(container, wanted)
    if container.kind in IMAGES and len(container.arrays) == 1:
        return next(iter(container.arrays))
    members = {name for group in container.groups.values() for name in group}
    arrays = {name: each for name, each in container.arrays.items() if name not in members}
    found = [name for name, each in arrays.items() if sum(size > 1 for size in each.shape) >= 2]
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(several(container, found))
    raise InputError(nothing_found(container))


def several(container: Container, names: Iterable[str]) -> str:
    """That a file holds several arrays, and which."""
    return (
        f"{container.label}: holds several arrays, choose one with --dataset or FILE::KEY: {listing(container, names)}"
    )


def nothing_found(container: Container) -> str:
    """That a file holds no patterns, and what it holds."""
    others = {
        name: why
        for name, each in container.arrays.items()
        if (why := why_no_pattern(name, each.shape, each.dtype)) and sum(size > 1 for size in each.shape) >= 2
    }
    if others:
        shown = ", ".join(f"{_shown(container, name)} ({why})" for name, why in list(others.items())[:LONGEST_LIST])
        return f"{container.label}: no patterns inside; there is {shown}; FILE::KEY takes one all the same"
    if container.refused:
        name, why = next(iter(container.refused.items()))
        what = f"{name} holds {why}" if name else f"holds {why}"
        return f"{container.label}: no patterns inside; {what}; allowed: integers, floats, booleans"
    shown = listing(container, list(container.arrays)) or "none"
    return f"{container.label}: no array of two or more axes inside; there is {shown}"


def _named(container: Container, wanted: str) -> str:
    if set(container.arrays) == {""}:
        raise InputError(f"{container.label}: {_article(container.kind)} file holds one array; leave '{wanted}' out")
    for name in (wanted, "/" + wanted.strip("/"), wanted.strip("/").replace("/", ".")):
        if (first := container.aliases.get(name, name)) in container.arrays:
            return first
    for name in (wanted, "/" + wanted.strip("/")):
        if name in container.refused:
            raise InputError(f"{container.label}: {name} holds {container.refused[name]}")
    raise InputError(no_such_array(container, wanted))


def no_such_array(container: Container, wanted: str) -> str:
    """That a file has no array of this name, and what it has."""
    known = candidates(container.arrays, container.groups) or list(container.arrays)
    close = difflib.get_close_matches(wanted, list(container.arrays), n=1)
    guess = f" (did you mean '{close[0]}'?)" if close else ""
    return f"{container.label}: no array '{wanted}' inside{guess}; there is {listing(container, known) or 'none'}"


def listing(container: Container, names: Iterable[str]) -> str:
    """Arrays with shape and type, for a message."""
    names = list(names)
    shown = ", ".join(_shown(container, name) for name in names[:LONGEST_LIST])
    return shown + (f", and {len(names) - LONGEST_LIST} more" if len(names) > LONGEST_LIST else "")


def _shown(container: Container, name: str) -> str:
    each = container.arrays[name]
    return " ".join(filter(None, (name, str(tuple(each.shape)), str(each.dtype or ""))))


def _article(kind: str) -> str:
    return f"an {kind}" if kind in ("npy", "edf") else f"a {kind}"
