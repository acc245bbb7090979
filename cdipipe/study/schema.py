"""The JSON schema of a study's file, with which editors complete and check it while it is written.

It describes the file as it is written: with grids, patterns and scales. What a scene, a method or a network takes
follows from its name. Names that a study gives itself are not compared with each other; ``cdipipe config`` does that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cdipipe.study.tree import Config

Schema = dict[str, Any]
REF = "#/definitions/{model}"
FORMS = ("method", "sequence", "steps", "grid", "sweep", "tune")
"""Keys that say what a method of a study is."""


def study_schema() -> Schema:
    """The schema in draft 7 of JSON schema, of all scenes, methods and networks that are installed."""
    from cdipipe.networks.registry import all_networks
    from cdipipe.phasing.recipe import Recipe
    from cdipipe.phasing.registry import all_methods
    from cdipipe.simulation.registry import all_scenes

    scenes, networks, methods = all_scenes(), all_networks(), all_methods()
    drawn, taken = ({name: record.parameters for name, record in found.items()} for found in (scenes, methods))
    settings = {name: network.settings for name, network in networks.items()}
    defs, refs = _definitions([Config, Recipe, *drawn.values(), *taken.values(), *settings.values()])
    root, shared = (defs.pop(_name(refs[model])) for model in (Config, Recipe))
    for entry in ("MeasurementEntry", "CorpusEntry"):
        _choose(defs[entry], "scene", scenes, {name: refs[model] for name, model in drawn.items()})
    _choose(defs["NetworkEntry"], "network", networks, {name: refs[model] for name, model in settings.items()})
    _name_records(defs)
    _take_text(defs["ImportEntry"]["properties"])
    shared["properties"].pop("steps")
    defs["Recipe"] = _recipe(shared["properties"], {name: refs[model] for name, model in taken.items()}, defs, methods)
    _entries_of(root, "methods", {"$ref": REF.format(model="Recipe")})
    _entries_of(root, "scales", _change(root["properties"], defs))
    head = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "cdipipe study"}
    return head | root | {"definitions": dict(sorted(defs.items()))}


def _definitions(models: list[type[BaseModel]]) -> tuple[Schema, dict[type[BaseModel], Schema]]:
    """Schemas of some models and of those inside them by name, and the reference to each of the former."""
    ordered = sorted(set(models), key=lambda model: (model.__module__, model.__name__))
    found, top = models_json_schema([(model, "validation") for model in ordered], ref_template=REF)
    return _in_draft_7(top["$defs"]), {model: ref for (model, _), ref in found.items()}


def _entries_of(root: Schema, kind: str, entry: Schema) -> None:
    named = root["properties"][kind]["patternProperties"]
    named |= dict.fromkeys(named, entry)


def _entry_of(value: Schema) -> Schema | None:
    """What stands under each name of a kind of entries; None where there are no names."""
    return next(iter(value.get("patternProperties", {}).values()), None)


def _name(ref: Schema) -> str:
    return ref["$ref"].rpartition("/")[2]


def _in_draft_7(schema: Any, properties: bool = False) -> Any:
    """Without titles, which only repeat names; descriptions of one paragraph; tuples as draft 7 has them."""
    if isinstance(schema, list):
        return [_in_draft_7(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _in_draft_7(value, key == "properties") for key, value in schema.items()}
    if properties:
        return found
    if isinstance(found.get("title"), str):
        del found["title"]
    if isinstance(found.get("description"), str):
        found["description"] = " ".join(found["description"].partition("\n\n")[0].split()).replace("``", "`")
    if "prefixItems" in found:
        found |= {"items": found.pop("prefixItems"), "additionalItems": False}
    if "patternProperties" in found:
        found["additionalProperties"] = False
    return found


def _names(records: Mapping[str, Any]) -> Schema:
    """One of these names, each with what it is."""
    return {"anyOf": [{"const": name, "description": record.summary} for name, record in records.items()]}


def _name_records(defs: Schema) -> None:
    """Metrics, formats and data sets by their names."""
    from cdipipe.io.datasets import DATASETS
    from cdipipe.io.export import EXPORTS
    from cdipipe.metrics.registry import METRICS

    metric = {"enum": sorted(METRICS.all())}
    for entry, several in (("TableEntry", True), ("DistributionEntry", False)):
        place = defs[entry]["properties"]["metric"]
        place.pop("type", None)
        place["anyOf"] = [metric, {"type": "array", "items": metric, "minItems": 1}] if several else [metric]
    measurement = defs["MeasurementEntry"]["properties"]
    measurement["export"]["items"] = {"enum": sorted(EXPORTS.all())}
    measurement["fetch"] = {"enum": sorted(DATASETS), "description": measurement["fetch"].get("description", "")}


def _take_text(options: Schema) -> None:
    """Options that are lists may be one number, or text with commas as on the command line."""
    for value in options.values():
        kinds = value.get("anyOf", [value])
        if any(kind.get("type") == "array" and "minItems" not in kind for kind in kinds):
            own = value.pop("anyOf", None) or [{key: value.pop(key) for key in ("type", "items")}]
            value["anyOf"] = [{"type": ["number", "string"]}, *own]


def _choose(entry: Schema, key: str, records: Mapping[str, Any], settings: Mapping[str, Schema]) -> None:
    """Under ``key`` stands the name of a record, and what may stand under ``set`` follows from it."""
    entry["properties"][key] = _names(records)
    entry["allOf"] = [_if_named(key, name, {"properties": {"set": ref}}) for name, ref in settings.items()]
    if left := [name for name in entry.pop("required", ()) if name != key]:  # which a grid may hold
        entry["required"] = left


def _if_named(key: str, name: str, then: Schema) -> Schema:
    return {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": then}


def _recipe(shared: Schema, models: Mapping[str, Schema], defs: Schema, methods: Mapping[str, Any]) -> Schema:
    """A method of a study: named, as a sequence, or as steps; what else it takes follows from that."""
    own = {name: list(defs[_name(ref)].get("properties", ())) for name, ref in models.items()}
    for ref in models.values():
        defs[_name(ref)].pop("additionalProperties", None)
    every = [key for keys in own.values() for key in keys]
    taken = [*FORMS, *shared]
    forms = [_if_named("method", name, {"allOf": [ref]} | _only(taken + own[name])) for name, ref in models.items()]
    forms += [{"if": {"required": ["sequence"]}, "then": _only(taken + every)}]
    forms += [{"if": {"required": ["steps"]}, "then": _only(taken)}]
    steps = {name: {"anyOf": [{"allOf": [ref]} | _only(own[name]), {"type": "null"}]} for name, ref in models.items()}
    step = {"type": "object", "minProperties": 1, "maxProperties": 1, "additionalProperties": False}
    keys = {
        "method": _names(methods),
        "sequence": {"type": "string", "description": "iterations of methods in turn, such as 3*(20*ER+180*HIO)+20*ER"},
        "steps": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [_names(methods), step | {"properties": steps}]},
            "description": "methods in turn, each with its own parameters",
        },
        "grid": defs["MeasurementEntry"]["properties"]["grid"],
        "sweep": _sweep(),
        "tune": {"anyOf": [{"$ref": REF.format(model="TuneChoices")}, {"type": "null"}]},
    }
    given = [{"required": [key]} for key in keys if key not in ("sweep", "tune")]
    description = "A method and its parameters, or several one after another."
    return {"type": "object", "description": description, "properties": keys | shared, "anyOf": given, "allOf": forms}


def _sweep() -> Schema:
    """One key with its values."""
    values = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object", "minProperties": 2}]}
    one = {"minProperties": 1, "maxProperties": 1, "additionalProperties": values}
    text = "One key over a list, labels or a range `{from: 0.5, to: 1.0, count: 6}`: a method each, and a curve."
    return {"type": "object", "description": text} | one


def _only(keys: Iterable[str]) -> Schema:
    """These keys and no others."""
    return {"properties": dict.fromkeys(sorted(set(keys)), True), "additionalProperties": False}


def _change(properties: Schema, defs: Schema) -> Schema:
    """What a scale may lay over a study: entries in part."""
    changed = {}
    for key, value in properties.items():
        entry = _entry_of(value)
        if key in ("scale", "scales"):
            continue
        if entry is None:
            changed[key] = value
        elif key == "methods":
            changed[key] = {"type": "object", "additionalProperties": {"type": "object"}}
        else:
            part = {"type": "object"} | _only(defs[_name(entry)]["properties"])
            changed[key] = {"type": "object", "additionalProperties": part}
    return {"type": "object", "properties": changed, "additionalProperties": False}
