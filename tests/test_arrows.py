"""Imports of the package go one way: from the command line down to the arrays, and never in a circle.

Imports inside functions count too; only those under ``if TYPE_CHECKING`` do not.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections import deque
from pathlib import Path

import pytest

import cdipipe
from cdipipe.module_source import modules_of, read_source

ROOT = Path(cdipipe.__file__).parent
ORDER = (
    "beamlines",
    "ops",
    "optics",
    "io",
    "metrics",
    "networks",
    "denoise",
    "simulation",
    "training",
    "phasing",
    "methods",
    "bragg",
    "uncertainty",
    "tuning",
    "figures",
    "live",
    "study",
    "cli",
    "api",
)
"""Packages, lowest first: each may import those before it, and all may import the modules beside them. The face for
Python, ``api``, is a module and stands above all."""
NUMBERS = itertools.count()
"""Sources are read once in a process: every package that a test makes has a name of its own."""
RECORDS = {
    ("cdipipe.phasing.registry", "cdipipe.methods"),
    ("cdipipe.simulation.registry", "cdipipe.simulation.scenes"),
}
"""Imports of a package for its folder alone, where ``plugins.in_modules`` looks for files."""


def read_imports(top: str) -> dict[str, set[str]]:
    """Modules of a package, and which others each imports, at its head or inside a function."""
    known = {name for name, file in modules_of(top).items() if file.suffix == ".py"}
    return {
        name: {_nearest(each, known) for each in read_source(name).imports} - {None, name, top}
        for name in sorted(known)
    }


def _nearest(name: str, known: set[str]) -> str | None:
    """The module that an imported name is, or is in; None where it is not of this package."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (module := ".".join(parts[:length])) in known:
            return module
    return None


def wrong_arrows(imports: dict[str, set[str]], order: tuple[str, ...]) -> list[str]:
    """Every import from a package of a later one, or from a module beside the packages of any."""
    found = []
    for name, others in sorted(imports.items()):
        for other in sorted(others):
            low, high = (_layer(module, order) for module in (name, other))
            if low is not None and high is not None and low < high and (name, other) not in RECORDS:
                found.append(f"{name} imports {other}: {_place(name)} may not import {_place(other)}")
    return found


def _layer(module: str, order: tuple[str, ...]) -> int | None:
    """Place of a module in the order, -1 for those beside the packages; None for the package itself, its face."""
    parts = module.split(".")
    if len(parts) == 1:
        return None
    return order.index(parts[1]) if parts[1] in order else -1


def _place(module: str) -> str:
    return module.split(".")[1]


def circles(imports: dict[str, set[str]]) -> list[str]:
    """One circle of modules that import each other for each knot of them, as text.

    The package itself is left out: its face imports everything, once asked, and has the version that modules ask for.
    """
    imports = {name: others for name, others in imports.items() if "." in name}
    found, done = [], set()
    for start in sorted(imports):
        path = _way_back(imports, start)
        if path and not done & set(path):
            done |= set(path)
            found.append(" imports ".join(path))
    return found


def _way_back(imports: dict[str, set[str]], start: str) -> list[str] | None:
    """The shortest way from a module through its imports to itself."""
    ways, seen = deque([[start]]), set()
    while ways:
        way = ways.popleft()
        for other in sorted(imports.get(way[-1], ())):
            if other == start:
                return [*way, start]
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None


@pytest.fixture(scope="module")
def imports():
    return read_imports("cdipipe")


def test_every_package_has_its_place():
    packages = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()}
    assert packages | {"api"} == set(ORDER)


def test_packages_import_only_those_below_them(imports):
    assert wrong_arrows(imports, ORDER) == []


def test_no_module_imports_itself_through_others(imports):
    assert circles(imports) == []


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write modules (path: text) of a package ``made`` and return which imports which."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(**texts):
        top = f"made{next(NUMBERS)}"
        for path, text in texts.items():
            file = tmp_path / top / (path.replace("__", "/") + ".py")
            file.parent.mkdir(parents=True, exist_ok=True)
            for folder in (tmp_path / top, file.parent):
                (folder / "__init__.py").touch()
            file.write_text(text.replace("made", top))
        importlib.invalidate_caches()
        named = read_imports(top)
        return {_plain(name): {_plain(other) for other in others} for name, others in named.items()}

    return write


def _plain(name: str) -> str:
    return re.sub(r"^made\d+", "made", name)


def test_a_lazy_import_upwards_is_named(package):
    found = wrong_arrows(package(low__a="def f():\n    from made.high.b import x\n", high__b="x = 1"), ("low", "high"))
    assert found == ["made.low.a imports made.high.b: low may not import high"]
    assert wrong_arrows(package(low__a="", high__b="from made.low import a"), ("low", "high")) == []


def test_modules_beside_the_packages_import_none_of_them(package):
    found = wrong_arrows(package(beside="import made.low.a", low__a="import made.beside"), ("low",))
    assert found == ["made.beside imports made.low.a: beside may not import low"]


def test_a_circle_through_a_function_is_shown(package):
    imports = package(
        low__a="from . import b", low__b="def f():\n    from .c import x", low__c="import made.low.a\nx = 1"
    )
    assert circles(imports) == ["made.low.a imports made.low.b imports made.low.c imports made.low.a"]


def test_imports_for_type_checkers_do_not_count(package):
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from made.low.b import x\n"
    assert circles(package(low__a=text, low__b="from made.low import a\nx = 1")) == []
