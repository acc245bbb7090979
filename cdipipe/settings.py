"""Parameters as the user writes them: ``--set key=value``, YAML text, and one-line complaints about both.

Nothing here imports torch, so that a configuration is checked before anything heavy starts.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from cdipipe.bounds import Bounded
from cdipipe.errors import InputError
from cdipipe.inputs import check_readable

Model = TypeVar("Model", bound=BaseModel)
LARGEST_TEXT_BYTES = 64 * 2**20
LONGEST_NAME = 200
"""Of something that could be a name written wrongly."""


class Parameters(Bounded):
    """Base of what a step of a recipe takes: frozen, unknown keys forbidden."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def planned(self) -> int:
        """Iterations that a step will tell and record, or fewer: room in the error trace, length of progress bars."""
        return getattr(self, "iterations", 1)

    @property
    def refuses(self) -> tuple[str, ...]:
        """Options of every recipe that the method does not honour with these values, beyond what its record says."""
        return ()

    def brief(self) -> str:
        """The step in a few words, for summaries of methods that are not one number; empty: nothing to add."""
        return ""


class _Loader(yaml.SafeLoader):
    """SafeLoader that reads 1e7 as a number (YAML 1.1 asks for 1.0e+7) and refuses a key given twice."""


_Loader.yaml_implicit_resolvers = {k: list(v) for k, v in yaml.SafeLoader.yaml_implicit_resolvers.items()}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def _mapping_without_doubles(loader: _Loader, node: yaml.MappingNode) -> dict:
    seen = set()
    for key_node, _ in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is not None and key != "<<" and key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"key '{key}' is given twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping_without_doubles)


def load_yaml(text: str, where: str) -> Any:
    """Plain data from YAML text; ``where`` names the file in messages.

    Raises
    ------
    InputError   the text is not YAML, or a mapping gives a key twice
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise InputError(f"{where}{place}: {getattr(error, 'problem', None) or 'not readable as YAML'}") from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OverflowError,
    ) as error:
        raise InputError(f"{where}: '{_short(text)}' looks like a number, date or tag of YAML, but is none") from error
    except RecursionError as error:
        raise InputError(f"{where}: brackets too deep in '{_short(text)}'") from error


def read_text(path: str | Path) -> str:
    """Text of a file of settings: a regular file of at most 64 MiB.

    Raises
    ------
    InputError   a device, a pipe or a folder, too large, or not text
    """
    path = Path(path)
    if path.exists():
        check_readable(path)
        if (size := path.stat().st_size) > LARGEST_TEXT_BYTES:
            raise InputError(f"{path}: {size / 2**20:.0f} MiB; files of settings have at most 64")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file") from error


def _short(text: str) -> str:
    return text if len(text) < 40 else f"{text[:36]}..."


def parse_settings(pairs: Iterable[str], where: str = "--set") -> dict[str, Any]:
    """Nested mapping from ``key=value`` pairs; values are YAML scalars or lists, dots in a key nest.

    A key given again replaces the value before.

    Examples
    --------
    >>> parse_settings(["beta=0.9", "shrink_wrap.every=20", "shape=[64, 64]"])
    {'beta': 0.9, 'shrink_wrap': {'every': 20}, 'shape': [64, 64]}

    Raises
    ------
    InputError   a pair has no '=' or no key, its value is not YAML, or a key is both a value and a group
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            raise InputError(f"{where}: expected key=value; got '{pair}'")
        value = load_yaml(text, f"{where} {key}")
        group = settings
        for depth, part in enumerate(parts[:-1]):
            group = group.setdefault(part, {})
            if not isinstance(group, dict):
                taken = ".".join(parts[: depth + 1])
                raise InputError(f"{where}: '{taken}' already has a value, so '{key}' cannot be set inside it")
        group[parts[-1]] = value
    return settings


def merge(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``extra`` put over it; nested mappings are merged, everything else replaced."""
    merged = dict(base)
    for key, value in extra.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value
    return merged


def validate(model: type[Model], mapping: Any, where: str) -> Model:
    """Instance of a pydantic model, or one line that names the wrong key or value.

    Parameters
    ----------
    model : pydantic model class, normally frozen with ``extra="forbid"``
    mapping : what the user gave; None counts as empty
    where : how to call it in the message, for example ``methods.hio``

    Raises
    ------
    InputError   ``methods.hio.betta: unknown key 'betta' (did you mean 'beta'?); it takes beta, iterations``
    """
    if mapping is None:
        mapping = {}
    if not isinstance(mapping, Mapping):
        raise InputError(f"{where}: expected a mapping of parameters; got {_shown(mapping)}")
    try:
        return model.model_validate(dict(mapping))
    except ValidationError as error:
        raise InputError(_first_line(error, model, where)) from error
    except (ArithmeticError, TypeError, RecursionError, MemoryError) as error:  # a number beyond a check's arithmetic
        raise InputError(f"{where}: a value is out of range ({' '.join(str(error).split())[:100]})") from error


def unknown_name(kind: str, name: str, known: Iterable[str], where: str = "") -> InputError:
    """The complaint about a method, scene or other entry that does not exist; to be raised by the caller."""
    known = list(known)
    place = f"{where}: " if where else ""
    return InputError(f"{place}unknown {kind} '{name}'{guess(name, known)}; known: {', '.join(known)}")


def guess(name: str, known: list[str]) -> str:
    """The known name that a wrong one is nearest to, as a question in brackets; nothing where none is near.

    Parameters
    ----------
    name : what was given
    known : what there is
    """
    name = str(name)
    close = difflib.get_close_matches(name, known, n=1) if len(name) <= LONGEST_NAME else []
    return f" (did you mean '{close[0]}'?)" if close else ""


def _shown(value: Any) -> str:
    text = repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


def _first_line(error: ValidationError, model: type[BaseModel], where: str) -> str:
    """The most telling of pydantic's errors: a misspelt key before all that follows from it."""
    details = error.errors(include_url=False, include_context=True)
    details.sort(key=lambda d: d["type"] != "extra_forbidden")
    first = details[0]
    place = where
    for part in first["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{place}: {_reason(first, model)}{more}"


def _reason(detail: Mapping[str, Any], model: type[BaseModel]) -> str:
    loc = detail["loc"]
    if detail["type"] == "extra_forbidden":
        known = _keys_at(model, loc[:-1])
        takes = f"; it takes {', '.join(known)}" if known else "; it takes no parameters" if known == [] else ""
        return f"unknown key '{loc[-1]}'{guess(loc[-1], known or [])}{takes}"
    if detail["type"] == "missing":
        return "this key is required"
    message = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    message = message[:1].lower() + message[1:]
    if not loc:  # a check of the whole model words its own message
        return message
    return f"{message}; got {_shown(detail['input'])}"


def _keys_at(annotation: Any, loc: tuple) -> list[str] | None:
    """Keys of the model that a pydantic location leads to; None where it cannot be followed."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if not loc:
            return list(annotation.model_fields)
        field = _field_called(annotation, loc[0])
        return _keys_at(field.annotation, loc[1:]) if field else _keys_at(annotation, loc[1:])
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _keys_at(arguments[0], loc)
    if origin in (typing.Union, types.UnionType):
        found = [_keys_at(member, loc) for member in _members_for(arguments, loc)]
        return next((keys for keys in found if keys is not None), None)
    if origin is not None and arguments and loc:  # list, tuple, dict: the location's part is an index or a key
        return _keys_at(arguments[-1] if arguments[-1] is not Ellipsis else arguments[0], loc[1:])
    return None


def _field_called(model: type[BaseModel], name: Any) -> Any:
    """The field that a mapping gives under this name, which may be an alias."""
    named = (field for field in model.model_fields.values() if field.alias == name)
    return model.model_fields.get(name) or next(named, None)


def _members_for(members: tuple, loc: tuple) -> list:
    """Members of a union, those that the location names (pydantic puts the class name there) first."""
    return sorted(members, key=lambda m: getattr(m, "__name__", None) not in loc)
