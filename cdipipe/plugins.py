"""Doors: methods, scenes, networks, metrics and more, found inside the package and in packages of others.

A record says what one of them is: ``METHOD`` of ``cdipipe/methods/hio.py`` or of the package ``cdipipe/methods/gps/``.
Dropping a file in is all it takes. Any other installed package adds records through entry points, whose name is the
record's own and whose group says what it is, for example::

    [project.entry-points."cdipipe.methods"]
    calm = "my_package.calm:METHOD"

Who asks for one record by its name loads that one and no other. So a package that is broken spoils nothing that does
not use it: lists leave it out and say so, once; who asks for it by name is told what is wrong.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import logging
import pkgutil
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from cdipipe.errors import InputError
from cdipipe.settings import unknown_name

logger = logging.getLogger("cdipipe")
in_use: dict[str, str] = {}
"""Versions of the other packages of which a record was loaded, by name."""


class Named(Protocol):
    """What every record has."""

    @property
    def name(self) -> str:
        """What users type."""
        ...


Record = TypeVar("Record", bound=Named)


Found = dict[str, Callable[[], "Record | None"]]
Finder = Callable[[], Found]


def entries_of(group: str) -> Iterable[importlib.metadata.EntryPoint]:
    """Entry points of a group, of all packages that were installed when the first was asked for.

    Parameters
    ----------
    group : such as ``cdipipe.methods``
    """
    return _entries().select(group=group)


@functools.cache
def _entries() -> Any:
    return importlib.metadata.entry_points()


class Registry(Generic[Record]):
    """Records of one kind by their name.

    Parameters
    ----------
    word : what one is called in messages, such as ``method``
    group : of the entry points, such as ``cdipipe.methods``
    kind : class of the records; each has a ``name``
    inside : gives the records of this package, name -> function that loads one (None: there is none after all), see
        :func:`in_modules` and :func:`in_list`
    derived : gives records that others imply, likewise; any other of the same name goes before
    """

    def __init__(self, word: str, group: str, kind: type[Record], inside: Finder, derived: Finder | None = None):
        self.word, self.group, self.kind = word, group, kind
        self._find_inside, self._find_derived = inside, derived
        self._loaded: dict[str, Record] = {}

    def get(self, name: str, where: str = "") -> Record:
        """The record called ``name``.

        Parameters
        ----------
        name : as users type it
        where : what names it, for the message

        Raises
        ------
        InputError   there is none, or the package that should bring it is broken
        """
        found = self.find(name, where)
        if found is None:
            raise unknown_name(self.word, name, self.all(), where)
        return found

    def find(self, name: str, where: str = "") -> Record | None:
        """The record called ``name``, or None.

        Parameters
        ----------
        name : as users type it
        where : what names it, for the message

        Raises
        ------
        InputError   the package that should bring it is broken
        """
        if name not in self._loaded:
            found = self._own(name, self._inside)
            if found is None and name in self.plugins:
                found = self._from_entry(self.plugins[name], f"{where}: " if where else "")
            found = self._own(name, self._derived) if found is None else found
            if found is None:
                return None
            self._loaded[name] = found
        return self._loaded[name]

    def all(self) -> dict[str, Record]:
        """Every record: those inside in their order, then those of other packages; broken ones are warned of, once."""
        return dict(self._all)

    def names(self) -> list[str]:
        """Every name that may have a record, those of other packages last; nothing is loaded."""
        own = [*self._inside, *(name for name in self._derived if name not in self._inside)]
        return [*(sorted(own) if self._derived else own), *(name for name in self.plugins if name not in own)]

    def look_again(self) -> None:
        """Forget what was found: a package was installed while this process runs."""
        for found in ("plugins", "_inside", "_derived", "_all"):
            self.__dict__.pop(found, None)
        self._loaded.clear()
        _entries.cache_clear()

    @functools.cached_property
    def plugins(self) -> dict[str, list[importlib.metadata.EntryPoint]]:
        """Entry points of other packages by name; one whose name is taken inside is warned of and left out."""
        entries: dict[str, list[importlib.metadata.EntryPoint]] = {}
        for entry in entries_of(self.group):
            if self._own(entry.name, self._inside) is None:
                entries.setdefault(entry.name, []).append(entry)
            else:
                logger.warning("left out: %s: cdipipe has a %s '%s' itself", _origin(entry), self.word, entry.name)
        return dict(sorted(entries.items()))

    @functools.cached_property
    def _inside(self) -> Found:
        return self._find_inside()

    @functools.cached_property
    def _derived(self) -> Found:
        return {} if self._find_derived is None else self._find_derived()

    @functools.cached_property
    def _all(self) -> dict[str, Record]:
        found = {}
        for name in self.names():
            try:
                record = self.find(name)
            except InputError as error:
                logger.warning("left out: %s", error)
                continue
            if record is not None:
                found[name] = record
        return found

    def _own(self, name: str, among: Found) -> Record | None:
        """The record of this package, if it has one."""
        record = among[name]() if name in among else None
        if record is not None and record.name != name:
            raise ValueError(f"{self.group}: the {self.word} '{record.name}' lies in a module called '{name}'")
        return record

    def _from_entry(self, entries: list[importlib.metadata.EntryPoint], where: str) -> Record:
        entry, *others = entries
        place = f"{where}{self.word} '{entry.name}': {_origin(entry)}"
        if others:
            raise InputError(f"{place} and {_origin(others[0])} both bring it; uninstall one")
        try:
            record = entry.load()
        except Exception as error:  # whatever another package raises
            raise InputError(f"{place} cannot be loaded: {error!r:.200}; repair or uninstall it") from error
        if not isinstance(record, self.kind):
            raise InputError(f"{place} is no {self.kind.__name__} but {type(record).__name__}; repair or uninstall it")
        if record.name != entry.name:
            raise InputError(f"{place} calls itself '{record.name}'; its entry point must have the same name")
        if entry.dist is not None:
            in_use[entry.dist.name] = entry.dist.version
        return record


def in_modules(package: ModuleType, attribute: str, packages_only: bool = False) -> Finder:
    """Records that are attributes of a package's modules, each module called as its record; in alphabetical order.

    Parameters
    ----------
    package : whose modules and packages are looked through; none is imported before it is asked for
    attribute : name of the record in each module, such as ``METHOD``
    packages_only : whether a record always is a package, so that modules beside need not be imported
    """

    def _find() -> Found:
        found = [item for item in pkgutil.iter_modules(package.__path__) if item.ispkg or not packages_only]
        return {
            item.name: functools.partial(_of_module, f"{package.__name__}.{item.name}", attribute) for item in found
        }

    return _find


def _of_module(module: str, attribute: str) -> Any:
    return getattr(importlib.import_module(module), attribute, None)


def in_list(records: Iterable[Record]) -> Finder:
    """Records that are at hand, in their order.

    Parameters
    ----------
    records : each with a ``name``
    """
    known = {record.name: record for record in records}
    return lambda: {name: functools.partial(known.get, name) for name in known}


def _origin(entry: importlib.metadata.EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist else ""
    return f"plug-in {entry.value}{package}"
