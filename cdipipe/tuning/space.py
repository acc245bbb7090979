"""What is searched of a recipe: its keys with a range, as the fields of its models are annotated.

Keys are written as in a recipe, with dots: ``beta``, ``shrink_wrap.threshold``, and ``steps.0.hio.beta`` where the
recipe lists steps. What the recipe itself sets stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel

from cdipipe.errors import InputError
from cdipipe.phasing.recipe import Recipe, recipe_from_mapping
from cdipipe.phasing.registry import get_method
from cdipipe.settings import guess
from cdipipe.tunable import Tune, TuneAmong


@dataclass(frozen=True)
class Dimension:
    """One key that is searched.

    Parameters
    ----------
    default : its value where nothing is set
    range : where the best value may lie
    is_whole : whether it takes whole numbers only
    """

    default: Any
    range: Tune | TuneAmong
    is_whole: bool = False


def search_space(mapping: Mapping[str, Any], over: tuple[str, ...] = (), support_known: bool = False) -> dict:
    """The keys of a recipe that can be searched.

    Parameters
    ----------
    mapping : the recipe as plain data
    over : keys to search; none: all that there are
    support_known : whether the measurement tells its support, so that none is looked for

    Returns
    -------
    dict
        Key -> Dimension, in the order of the method's file.

    Raises
    ------
    InputError   the recipe is wrong, a key of ``over`` cannot be searched, or nothing can
    """
    recipe = recipe_from_mapping(mapping)
    found = {key: dim for key, dim in _dimensions(mapping, recipe, support_known) if not _is_set(mapping, key)}
    for key in over:
        if key not in found:
            raise InputError(_complaint(key, mapping, found, recipe.name))
    if not found:
        raise InputError(f"{recipe.name}: no key has a range to search that the recipe does not set itself")
    return {key: found[key] for key in over} if over else found


def with_settings(mapping: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """A recipe as plain data with some keys set; nothing given is changed.

    Parameters
    ----------
    settings : key with dots -> value
    """
    changed: Any = _copy(mapping)
    for key, value in settings.items():
        *parents, last = key.split(".")
        place = changed
        for parent in parents:
            if isinstance(place, list):
                place = place[int(parent)]
            else:
                place[parent] = place.get(parent) or {}
                place = place[parent]
        place[last] = value
    return changed


def _copy(value: Any) -> Any:
    """Plain data anew, with every step of a list as a mapping."""
    if isinstance(value, Mapping):
        copied = {key: _copy(item) for key, item in value.items()}
        steps = copied.get("steps")
        if isinstance(steps, list):
            copied["steps"] = [{step: {}} if isinstance(step, str) else step for step in steps]
        return copied
    return [_copy(item) for item in value] if isinstance(value, (list, tuple)) else value


def _dimensions(mapping: Mapping[str, Any], recipe: Recipe, support_known: bool) -> Iterator[tuple[str, Dimension]]:
    """Every key with a range that has an effect."""
    for number, (name, parameters) in enumerate(recipe.steps):
        head = f"steps.{number}.{name}." if "steps" in mapping else ""
        yield from _of_model(parameters, head)
    methods = [get_method(name) for name, _ in recipe.steps]
    for name in type(recipe).model_fields:
        value = getattr(recipe, name)
        if name == "steps" or not any(method.honours(name) for method in methods):
            continue
        if name in ("shrink_wrap", "start_support") and support_known:
            continue
        if name == "shrink_wrap" and value.every == 0:
            continue
        if isinstance(value, BaseModel):
            taken = {"threshold"} if name == "shrink_wrap" and value.area is not None else set()
            yield from ((key, one) for key, one in _of_model(value, f"{name}.") if key.partition(".")[2] not in taken)
        elif (one := _dimension(recipe, name)) is not None:
            yield name, one


def _of_model(model: BaseModel, head: str) -> Iterator[tuple[str, Dimension]]:
    for name in type(model).model_fields:
        if (one := _dimension(model, name)) is not None:
            yield head + name, one


def _dimension(model: BaseModel, name: str) -> Dimension | None:
    """The field as a dimension; None where it has no range, or is what no range reaches, such as switched off."""
    field, value = type(model).model_fields[name], getattr(model, name)
    for mark in field.metadata:
        if isinstance(mark, TuneAmong) and value in mark.values:
            return Dimension(value, mark)
        if isinstance(mark, Tune):
            value = mark.unset if value is None else value
            if value is not None and mark.low <= value <= mark.high:
                return Dimension(value, mark, int in (field.annotation, *get_args(field.annotation)))
    return None


def _is_set(mapping: Any, key: str) -> bool:
    """Whether plain data sets a key itself."""
    for part in key.split("."):
        if isinstance(mapping, list):
            step = mapping[int(part)]
            mapping = step if isinstance(step, Mapping) else {}
        elif isinstance(mapping, Mapping) and part in mapping:
            mapping = mapping[part]
        else:
            return False
    return True


def _complaint(key: str, mapping: Mapping[str, Any], found: Mapping[str, Dimension], name: str) -> str:
    if _is_set(mapping, key):
        return f"over: {key}: the recipe sets it to a value; leave it out there, and it is searched"
    return f"over: {key}: no range to search{guess(key, list(found))}; {name} has {', '.join(found) or 'none'}"
