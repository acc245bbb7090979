"""A study at one of its sizes: grids multiplied out, a scale laid over, patterns replaced by names; on plain data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdipipe.errors import InputError
from cdipipe.settings import merge, unknown_name
from cdipipe.study.grids import OWN_KEYS, expand_grids
from cdipipe.study.names import expand_names, is_pattern, matching
from cdipipe.study.sweeps import expand_sweeps
from cdipipe.study.tunings import gather_tunings


def at_scale(study: Any, where: str, scale: str | None = None) -> Any:
    """A study's plain data as it runs; anything that is no mapping as it is.

    Parameters
    ----------
    where : how to call the file in messages
    scale : which of its ``scales`` is laid over the rest; None takes what ``scale`` in the study says, if it says one

    Raises
    ------
    InputError   there is no such scale, a grid is wrong, or a pattern matches nothing
    """
    if not isinstance(study, Mapping):
        return study
    scale = scale or study.get("scale")
    found = expand_grids(expand_sweeps(study, where), where)
    if scale is not None:
        changes = _changes(study.get("scales"), scale, where)
        found = merge(found, _for_names(changes, found, f"{where}: scales.{scale}")) | {"scale": scale}
    return expand_names(gather_tunings(found), where)


def _changes(scales: Any, scale: str, where: str) -> Mapping[str, Any]:
    """What a scale lays over the rest."""
    if not isinstance(scales, Mapping) or scale not in scales:
        raise unknown_name("scale", str(scale), scales if isinstance(scales, Mapping) else (), where)
    changes = scales[scale] or {}
    if not isinstance(changes, Mapping):
        raise InputError(f"{where}: scales.{scale}: expected what to change, such as {{restarts: 2}}; got {changes!r}")
    place = f"{where}: scales.{scale}"
    return expand_grids(expand_sweeps(changes, place), place)


def _for_names(changes: Mapping[str, Any], study: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The changes with an entry for every name that one of their patterns matches; later entries win."""
    named = dict(changes)
    for kind in OWN_KEYS:
        if isinstance(changes.get(kind), Mapping):
            named[kind] = {}
            for name, entry in changes[kind].items():
                known = study.get(kind) or ()
                for own in matching(name, known, f"{where}.{kind}") if is_pattern(name) else [name]:
                    named[kind] = merge(named[kind], {own: entry})
    return named
