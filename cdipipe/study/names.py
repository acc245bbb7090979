"""Patterns such as ``polygons_1e4_*`` where a study names its own entries; works on plain data.

A ``*`` stands for any letters, a ``?`` for one. In a list a pattern stands for all names that match, in the file's
order. Columns of a table and rows of a gallery may be such a list, too: they are then called as the measurements are,
with spaces for underscores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from cdipipe.errors import InputError

KINDS = ("measurements", "methods")
FIGURES = ("tables", "galleries", "curves", "distributions")
LISTS = {"reconstructions": KINDS, "distributions": KINDS} | dict.fromkeys(FIGURES[:3], ("methods",))
"""Section -> keys that are lists of names."""
HEADED = {"tables": "columns", "galleries": "rows", "curves": "rows"}
"""Section -> key whose headings stand for measurements."""


def is_pattern(name: Any) -> bool:
    """Whether it stands for names instead of being one."""
    return isinstance(name, str) and ("*" in name or "?" in name)


def matching(pattern: str, known: Iterable[str], where: str) -> list[str]:
    """All known names that match.

    Raises
    ------
    InputError   none does
    """
    known = [str(name) for name in known]
    found = [name for name in known if fnmatchcase(name, pattern)]
    if not found:
        raise InputError(f"{where}: nothing matches '{pattern}'; there are {', '.join(known) or 'none'}")
    return found


def expand_names(study: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The study with names for all patterns in reconstructions and figures.

    Raises
    ------
    InputError   a pattern matches nothing, or two measurements of a list would have one heading
    """
    known = {kind: list(study[kind]) if isinstance(study.get(kind), Mapping) else [] for kind in KINDS}
    changed = dict(study)
    if isinstance(study.get("reconstructions"), list):
        pairings = enumerate(study["reconstructions"])
        changed["reconstructions"] = [
            _expand(entry, "reconstructions", known, f"{where}: reconstructions[{i}]") for i, entry in pairings
        ]
    for section in FIGURES:
        if isinstance(study.get(section), Mapping):
            entries = study[section].items()
            changed[section] = {n: _expand(e, section, known, f"{where}: {section}.{n}") for n, e in entries}
    return changed


def _expand(entry: Any, section: str, known: Mapping[str, list[str]], where: str) -> Any:
    """One pairing or figure."""
    if not isinstance(entry, Mapping):
        return entry
    changed = dict(entry)
    for key in LISTS[section]:
        if isinstance(entry.get(key), list):
            changed[key] = _named(entry[key], known[key], f"{where}.{key}")
    heads = HEADED.get(section)
    if heads in entry:
        changed[heads] = _headed(entry[heads], known["measurements"], f"{where}.{heads}")
    return changed


def _named(names: list, known: list[str], where: str) -> list:
    """A list of names, each once, from one of names and patterns; a list without patterns as it is."""
    if not any(map(is_pattern, names)):
        return names
    found: dict[str, None] = {}
    for name in names:
        found |= dict.fromkeys(matching(name, known, where) if is_pattern(name) else [str(name)])
    return list(found)


def _headed(columns: Any, known: list[str], where: str) -> Any:
    """heading -> name or names, from such a mapping or from a list of names and patterns."""
    if isinstance(columns, list):
        names = _named(columns, known, where)
        headed = {str(name).replace("_", " "): name for name in names}
        if len(headed) < len(names):
            raise InputError(f"{where}: two of these names differ by underscores only; give headings")
        return headed
    if not isinstance(columns, Mapping):
        return columns
    lists = {heading: [value] if is_pattern(value) else value for heading, value in columns.items()}
    return {
        heading: _named(value, known, f"{where}.{heading}") if isinstance(value, list) else value
        for heading, value in lists.items()
    }
