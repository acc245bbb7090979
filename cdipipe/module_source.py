"""What the source of a module says about other code: what it imports, which records it finds, which files it names.

Sources are read, never run. Each file is read once in a process.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

ASKS = re.compile(r"""get_\w+\(["']""")
RECIPE_KEYS = ("method", "sequence", "steps", "network", "scene")
NO_DATA = (".py", ".pyi", ".pyc", ".md", *EXTENSION_SUFFIXES)


@dataclass(frozen=True)
class Group:
    """Records that a ``plugins.Registry`` finds.

    Parameters
    ----------
    name : the group of their entry points
    package : where those inside are modules; None: they are imported
    packages_only : whether each is a package
    """

    name: str
    package: str | None = None
    packages_only: bool = False


@dataclass(frozen=True)
class Source:
    """What one module says.

    Parameters
    ----------
    imports : modules, or what is taken from them
    at_once : those of them that happen as soon as the module is imported
    groups : records that it finds
    asked : words in calls such as ``get_method("er")`` and in recipes such as ``{"method": "hio"}``
    files : names of files, with ``{}`` for what is filled in
    """

    imports: tuple[str, ...] = ()
    at_once: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()
    asked: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@functools.cache
def modules_of(top: str) -> dict[str, Path]:
    """Every module of an installed top-level package by its dotted name, the compiled ones too."""
    found: dict[str, Path] = {}
    for folder in _folders(top):
        for file in sorted(folder.rglob("*")):
            if ending := next((s for s in (".py", *EXTENSION_SUFFIXES) if file.name.endswith(s)), None):
                parts = (top, *file.relative_to(folder).parent.parts, file.name.removesuffix(ending))
                found.setdefault(".".join(parts).removesuffix(".__init__"), file)
    return found or _single_file(top)


def _folders(top: str) -> list[Path]:
    loaded = sys.modules.get(top)
    if loaded is None:
        spec = importlib.util.find_spec(top)
        return [] if spec is None else list(map(Path, spec.submodule_search_locations or ()))
    return list(map(Path, getattr(loaded, "__path__", ())))


def _single_file(top: str) -> dict[str, Path]:
    spec = importlib.util.find_spec(top)
    return {} if spec is None or spec.origin is None else {top: Path(spec.origin)}


@functools.cache
def file_of(module: str) -> Path | None:
    """The file of a module; None where the name is none of a module."""
    top, _, below = module.partition(".")
    if found := modules_of(top).get(module):
        return found
    if not below or "." in below:
        return None
    spec = importlib.util.find_spec(module)  # compiled modules of an editable install lie elsewhere
    compiled = spec is not None and spec.origin is not None and spec.origin.endswith(tuple(EXTENSION_SUFFIXES))
    return Path(spec.origin) if compiled else None


@functools.cache
def data_files(top: str) -> dict[str, Path]:
    """Files of a package that are neither code nor text for readers, as ``package/folder/file``."""
    found = {
        f"{top}/{file.relative_to(folder).as_posix()}": file for folder in _folders(top) for file in _below(folder)
    }
    return {name: file for name, file in found.items() if not name.endswith(NO_DATA)}


def _below(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.rglob("*")) if file.is_file()]


@functools.cache
def _signs(top: str) -> tuple[str, ...]:
    """Text that modules with records or with names of files have, and most others not."""
    endings = sorted({".py", *(file.suffix for file in data_files(top).values())} - {""})
    keys = [f'"{key}": ' for key in RECIPE_KEYS]
    return ("Registry(", 'S.get("', *keys, *(f"{ending}{quote}" for ending in endings for quote in "\"'"))


def _is_worth_a_look(text: str, top: str) -> bool:
    return any(sign in text for sign in _signs(top)) or ASKS.search(text) is not None


@functools.cache
def read_source(module: str) -> Source:
    """What a module in Python says."""
    file = file_of(module)
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found = [(name, at_once) for node, at_once in _imports(tree.body, True) for name in _names(node, package)]
    imports = tuple(dict.fromkeys(name for name, _ in found))
    at_once = tuple(dict.fromkeys(name for name, at_once in found if at_once))
    if not _is_worth_a_look(text, module.partition(".")[0]):
        return Source(imports, at_once)
    nodes = list(ast.walk(tree))
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    groups = tuple(group for call in calls if (group := _group(call)))
    asked = {word for node in nodes for word in _asked(node)}
    return Source(imports, at_once, groups, tuple(sorted(asked)), tuple(sorted(set(_files(nodes)))))


def _imports(body: list[ast.stmt], at_once: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Import statements, and whether each runs when the module is imported."""
    for node in body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, at_once
        if not hasattr(node, "body") and not hasattr(node, "cases"):
            continue
        later = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        test = getattr(node, "test", None)
        skipped = "TYPE_CHECKING" in (getattr(test, "id", ""), getattr(test, "attr", ""))
        for field in ("orelse",) if skipped else ("body", "orelse", "finalbody"):
            yield from _imports(getattr(node, field, []), at_once and not later)
        for part in (*getattr(node, "handlers", ()), *getattr(node, "cases", ())):
            yield from _imports(part.body, at_once and not later)


def _names(node: ast.Import | ast.ImportFrom, package: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [base])])
    inside = [f"{base}.{alias.name}" for alias in node.names]
    ours = base.partition(".")[0] in ("cdipipe", package.partition(".")[0])
    only_modules = ours and all(map(file_of, inside))  # then the package itself is passed through only
    return inside if only_modules else [base, *inside]


def _group(call: ast.Call) -> Group | None:
    """The records of ``Registry("method", "cdipipe.methods", Method, in_modules(cdipipe.methods, "METHOD"))``."""
    if _called(call) != "Registry" or len(call.args) < 4 or not isinstance(call.args[1], ast.Constant):
        return None
    name, inside = call.args[1].value, call.args[3]
    if not isinstance(inside, ast.Call) or _called(inside) != "in_modules":
        return Group(name)
    return Group(name, ast.unparse(inside.args[0]), any(key.arg == "packages_only" for key in inside.keywords))


def _asked(node: ast.AST) -> list[str]:
    """Words in ``get_method("er")``, ``METHODS.get("er")``, ``{"method": "hio"}`` and ``{"sequence": "9*ER"}``."""
    if isinstance(node, ast.Call) and _called(node).startswith("get"):
        return _words(node.args[:1])
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return _words([value for key, value in pairs if isinstance(key, ast.Constant) and key.value in RECIPE_KEYS])
    return []


def _words(nodes: list[ast.AST]) -> list[str]:
    constants = [part.value for node in nodes for part in ast.walk(node) if isinstance(part, ast.Constant)]
    return [word.lower() for text in constants if isinstance(text, str) for word in re.findall(r"[A-Za-z_]\w*", text)]


def _called(call: ast.Call) -> str:
    return getattr(call.func, "id", None) or getattr(call.func, "attr", "")


def _files(nodes: list[ast.AST]) -> Iterator[str]:
    """Strings that look like names of files."""
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        name = text.rpartition("/")[2]
        if re.fullmatch(r"\S+\.[A-Za-z0-9]+", name):
            yield name
