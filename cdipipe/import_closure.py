"""Which code a piece of work depends on: all that its module imports, at once or later, and all that those import.

Imports are read from the source, at the head of a module and inside functions; what stands under ``if TYPE_CHECKING``
is none. Besides Python files there count

* the compiled module, where one of them loads it;
* scripts that one of them starts (``"worker.py"``), data files that one of them names (``"report.html.j2"``,
  ``f"{name}.pt"``) and that lie in its folder or below;
* records, which no import names: where one of them holds a ``plugins.Registry``, all records of that group, or those
  of them that the work is known to use. Records of other packages bring what they import of their own package.

Of a package that an import only passes through, and of cdipipe itself, what it imports at once counts, and not what
it would import later.
"""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import importlib.metadata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from cdipipe.module_source import Group, Source, data_files, file_of, modules_of, read_source

Used = Mapping[str, Iterable[str]]
"""Group of records -> names of those that are used."""


def code_digest_of(modules: Iterable[str], used: Used | None = None) -> str:
    """First 16 hexadecimal digits of the SHA-256 of the code that some modules depend on.

    Parameters
    ----------
    modules : dotted names, such as ``cdipipe.cli.reconstruct``
    used : for groups of records, such as ``cdipipe.methods``, names of those that count; of other groups all count

    Raises
    ------
    ValueError   there is no such module or record
    """
    narrowed = tuple(sorted((group, tuple(sorted(set(names)))) for group, names in (used or {}).items()))
    return _digest(tuple(sorted(set(modules))), narrowed)


@functools.cache
def _digest(modules: tuple[str, ...], used: tuple[tuple[str, tuple[str, ...]], ...]) -> str:
    digest = hashlib.sha256()
    for name, file in sorted(files_used(modules, dict(used)).items()):
        digest.update(f"{name}\0{_file_digest(file)}\0".encode())
    return digest.hexdigest()[:16]


@functools.cache
def _file_digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def files_used(modules: Iterable[str], used: Used | None = None) -> dict[str, Path]:
    """Every file that some modules depend on: by the name of the module, or as ``package/file`` of data.

    Parameters, Raises
    ------------------
    as :func:`code_digest_of`
    """
    used = used or {}
    found = dict.fromkeys(modules)
    while True:
        closures = [_closure(module) for module in found]
        asked = {name for closure in closures for name in closure.asked}
        records = {
            module for closure in closures for group in closure.groups for module in _records(group, used, asked)
        }
        if records <= found.keys():
            break
        found |= dict.fromkeys(sorted(records))
    files: dict[str, Path] = {}
    for closure in closures:
        files |= closure.files
    return files


@dataclass(frozen=True)
class _Closure:
    """What one module imports, directly and through others, records left out."""

    files: dict[str, Path]
    groups: frozenset[Group]
    asked: frozenset[str]


@functools.cache
def _closure(start: str) -> _Closure:
    if file_of(start) is None:
        raise ValueError(f"there is no module '{start}'")
    modules: dict[str, Path] = {}
    sources: dict[str, Source] = {}
    todo = [start]
    while todo:
        name = todo.pop()
        file = file_of(name)
        if name in sources or file is None:
            continue
        modules[name] = file
        sources[name] = source = read_source(name) if file.suffix == ".py" else Source()
        todo += [*_ours(source.imports, name), *_scripts(source, name, file)]
        for package in _around(name):
            if package not in modules:
                modules[package] = file_of(package)
                todo += _ours(read_source(package).at_once, package)
    named = [(name, pattern) for name, source in sources.items() for pattern in source.files]
    return _Closure(
        modules | {name: file for each in named for name, file in _data(*each).items()},
        frozenset(group for source in sources.values() for group in source.groups),
        frozenset(name for source in sources.values() for name in source.asked),
    )


def _ours(names: Iterable[str], module: str) -> list[str]:
    """Those of the names that lie in this package or, for records of others, in theirs."""
    inside = ("cdipipe.", module.partition(".")[0] + ".")
    return [name for name in names if name.startswith(inside)]


def _scripts(source: Source, module: str, file: Path) -> list[str]:
    """Modules beside one that it names as files."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    return [f"{package}.{name.removesuffix('.py')}" for name in source.files if name.endswith(".py")]


def _around(module: str) -> Iterator[str]:
    """The packages that a module is in."""
    while module := module.rpartition(".")[0]:
        yield module


@functools.cache
def _data(module: str, pattern: str) -> dict[str, Path]:
    """Data files below a module's folder whose name it has; where a part of it is filled in, all that fit."""
    folder, fits = file_of(module).parent, pattern.replace("{}", "*")
    known = data_files(module.partition(".")[0])
    return {n: file for n, file in known.items() if fnmatch.fnmatchcase(file.name, fits) and folder in file.parents}


def _records(group: Group, used: Used, asked: Iterable[str]) -> list[str]:
    """Modules of the records of a group that count."""
    known = _known(group)
    if group.name not in used:
        return list(known.values())
    for name in used[group.name]:
        if name not in known and group.package is not None:
            raise ValueError(f"{group.name}: there is no record '{name}'")
    return [known[name] for name in {*used[group.name], *asked} if name in known]


@functools.cache
def _entry_points() -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points()


@functools.cache
def _known(group: Group) -> dict[str, str]:
    """Module of every record of a group by name, those of other packages included."""
    found = {entry.name: entry.module for entry in _entry_points().select(group=group.name)}
    if group.package is None:
        return found
    start = f"{group.package}."
    for module, file in modules_of(group.package.partition(".")[0]).items():
        name = module.removeprefix(start)
        if module.startswith(start) and "." not in name and (not group.packages_only or file.name == "__init__.py"):
            found[name] = module
    return found
