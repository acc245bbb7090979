"""Methods, scenes, networks, metrics and readers: found inside the package and through entry points.

A record is an attribute of a module, such as ``METHOD`` of ``cdipipe/methods/hio.py`` or of the package
``cdipipe/methods/gps/``. Dropping a file in is all it takes. Another installed package adds records by entry points
whose group is the sub-package's name, for example::

    [project.entry-points."cdipipe.methods"]
    my_method = "my_package.my_method:METHOD"
"""

from __future__ import annotations

import importlib
import importlib.metadata
import pkgutil
from types import ModuleType
from typing import Any

from cdipipe.errors import InputError


def find_records(package: ModuleType, attribute: str, kind: type, packages_only: bool = False) -> dict[str, Any]:
    """Every record by name, in alphabetical order.

    Parameters
    ----------
    package : the sub-package that is searched, not its sub-packages; its name is the group of the entry points
    attribute : name of the module attribute that holds a record
    kind : class of the records, which have a ``name``
    packages_only : whether a record is always a package, so that modules beside it need not be imported

    Raises
    ------
    InputError   an entry point cannot be loaded, is no record, or takes a name that is taken
    """
    records: dict[str, Any] = {}
    for found in pkgutil.iter_modules(package.__path__):
        if packages_only and not found.ispkg:
            continue
        record = getattr(importlib.import_module(f"{package.__name__}.{found.name}"), attribute, None)
        if isinstance(record, kind):
            records[record.name] = record
    for entry in importlib.metadata.entry_points(group=package.__name__):
        record = _load(entry, kind)
        if record.name in records:
            raise InputError(f"{_origin(entry)}: the name '{record.name}' is taken; rename or uninstall it")
        records[record.name] = record
    return dict(sorted(records.items()))


def _load(entry: importlib.metadata.EntryPoint, kind: type):
    try:
        record = entry.load()
    except Exception as error:  # whatever another package raises
        raise InputError(f"{_origin(entry)} cannot be loaded: {error!r:.200}; repair or uninstall it") from error
    if not isinstance(record, kind):
        raise InputError(f"{_origin(entry)} is no {kind.__name__} but {type(record).__name__}; repair or uninstall it")
    return record


def _origin(entry: importlib.metadata.EntryPoint) -> str:
    package = f" of {entry.dist.name}" if entry.dist else ""
    return f"plug-in {entry.value}{package}"
