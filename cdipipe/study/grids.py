"""``grid:`` multiplies one entry of a study out into many; works on plain data, before anything is checked.

    measurements:
      polygons_{photons}_{seed}: {scene: polygons, set: {size: 64}, grid: {photons: [1e4, 1e5], seed: [1, 2, 3]}}

is six measurements, ``polygons_1e4_1`` to ``polygons_1e5_3``; the last key varies fastest.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from cdipipe.errors import InputError
from cdipipe.settings import merge
from cdipipe.study.entries import CorpusEntry, MeasurementEntry, NetworkEntry

MOST_ENTRIES = 10_000
"""Of one kind; a grid of more is a slip of the keyboard."""

OWN_KEYS = {
    "measurements": set(MeasurementEntry.model_fields) | {"import"},
    "corpora": set(CorpusEntry.model_fields),
    "networks": set(NetworkEntry.model_fields),
    "methods": None,
}
"""Kinds of entries that take a grid, and their own keys: all others go into ``set``. A method has only its own."""

PLACE = re.compile(r"\{([^{}]*)\}")
Choice = tuple[str, Any]
"""How a value of a grid is called in a name, and the value."""


def expand_grids(study: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The study with every entry that has a ``grid`` replaced by its products, in their place.

    Raises
    ------
    InputError   a grid that is no mapping of lists, a value that has no name, two entries of one name, too many entries
    """
    changed = dict(study)
    for kind in OWN_KEYS:
        if isinstance(study.get(kind), Mapping):
            changed[kind] = _expand_kind(study[kind], kind, f"{where}: {kind}")
    return changed


def _expand_kind(entries: Mapping[str, Any], kind: str, where: str) -> dict[str, Any]:
    """All entries of one kind."""
    gridded = {name: entry["grid"] for name, entry in entries.items() if isinstance(entry, Mapping) and "grid" in entry}
    grids = {name: _choices(grid, f"{where}.{name}.grid") for name, grid in gridded.items()}
    count = len(entries) - len(grids) + sum(math.prod(map(len, grid.values())) for grid in grids.values())
    if grids and count > MOST_ENTRIES:
        raise InputError(f"{where}: the grids give {count:,} entries; expected at most {MOST_ENTRIES:,}")
    found: dict[str, Any] = {}
    origin: dict[str, str] = {}
    for name, entry in entries.items():
        if name not in grids and (place := PLACE.search(str(name))):
            raise InputError(f"{where}.{name}: no grid says what {place[0]} is; expected one, or a plain name")
        products = _products(name, entry, grids[name], kind, where) if name in grids else [(name, entry)]
        for own, product in products:
            if own in found:
                raise InputError(f"{where}: '{origin[own]}' and '{name}' both give '{own}'{_advice(name, grids)}")
            found[own], origin[own] = product, name
    return found


def _advice(name: str, grids: Mapping[str, Mapping]) -> str:
    places = "".join(f"{{{key}}}" for key in grids.get(name, ()))
    return f"; the name must tell them apart, for example by {places}" if places else ""


def _choices(grid: Any, where: str) -> dict[str, list[Choice]]:
    """key -> its values and what they are called."""
    if not isinstance(grid, Mapping) or not grid:
        raise InputError(f"{where}: expected keys with lists of values, such as {{photons: [1e4, 1e5]}}; got {grid!r}")
    return {str(key): called(values, f"{where}.{key}") for key, values in grid.items()}


def called(values: Any, where: str) -> list[Choice]:
    """What the values of a key are called, and the values.

    Raises
    ------
    InputError   neither a list nor labels with values, or a value that has no name
    """
    if isinstance(values, Mapping) and values:
        return [(value_name(label, where), value) for label, value in values.items()]
    if isinstance(values, list) and values:
        every = [one for value in values for one in _whole_range(value, where)]
        return [(value_name(value, where), value) for value in every]
    raise InputError(f"{where}: expected a list of values, or labels with values; got {values!r}")


def _whole_range(value: Any, where: str) -> Sequence[Any]:
    """``3..5`` is 3, 4 and 5; any other value is itself."""
    ends = re.fullmatch(r"(\d{1,18})\.\.(\d{1,18})", value) if isinstance(value, str) else None
    found = range(int(ends[1]), int(ends[2]) + 1) if ends else [value]
    if not 0 < len(found) <= MOST_ENTRIES:
        raise InputError(f"{where}: {value} are {len(found):,} values; expected 1 to {MOST_ENTRIES:,}")
    return found


def value_name(value: Any, where: str = "grid") -> str:
    """How a value is called in names: numbers the shorter way, 1e4 for 10000.0, with p for the point.

    Raises
    ------
    InputError   the value is a list, a mapping or nothing
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, float):
        power = re.sub(r"\.?0*e\+?(-?)0*", r"e\1", f"{value:.9e}")
        return min(f"{value:.10g}", power, key=len).replace(".", "p")
    raise InputError(f"{where}: {value!r} has no name; give labels, such as {{few: [1, 2], many: [3, 4]}}")


def _products(name: str, entry: Mapping, grid: Mapping[str, list[Choice]], kind: str, where: str) -> Iterator[tuple]:
    """Name and content of every product."""
    plain = {key: value for key, value in entry.items() if key != "grid"}
    pattern = pattern_of(name, grid)
    for chosen in itertools.product(*grid.values()):
        picked = dict(zip(grid, chosen, strict=True))
        labels = {key: label for key, (label, _) in picked.items()}
        product = plain
        for key, (_, value) in picked.items():
            if value is not None:  # as the entry says
                product = merge(product, _nested(key, value, OWN_KEYS[kind]))
        yield filled(pattern, labels, f"{where}.{name}"), product


def pattern_of(name: str, keys: Iterable[str]) -> str:
    """The name of an entry with a place for every key: as written, or with them at its end."""
    return name if PLACE.search(name) else name + "".join(f"_{{{key}}}" for key in keys)


def _nested(key: str, value: Any, own_keys: set[str] | None) -> dict[str, Any]:
    """``{"set": {"detector": {"gain": value}}}`` of ``detector.gain``, without ``set`` for an entry's own key."""
    parts = key.split(".")
    path = parts if own_keys is None or parts[0] in own_keys else ["set", *parts]
    for part in reversed(path):
        value = {part: value}
    return value


def filled(pattern: str, labels: Mapping[str, str], where: str) -> str:
    """The pattern with ``{key}``, or ``{last part of the key}``, replaced.

    Raises
    ------
    InputError   a place of the pattern is of no key, or of two
    """

    def label(match: re.Match) -> str:
        keys = [key for key in labels if match[1] in (key, key.rpartition(".")[2])]
        if len(keys) != 1:
            raise InputError(f"{where}: '{match[0]}' is no key of its grid; there are {', '.join(labels)}")
        return labels[keys[0]]

    return PLACE.sub(label, pattern)
