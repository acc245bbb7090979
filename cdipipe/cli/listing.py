"""What the commands that list things share: ``methods``, ``scenes``, ``networks``, ``metrics``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def list_parameters(model, skip=()) -> list[dict]:
    """Flat list of a model's parameters; nested models appear with dotted names."""
    from pydantic import BaseModel

    rows = []
    for key, field in model.model_fields.items():
        if key in skip:
            continue
        inner = [name.removeprefix(f"{key}.") for name in skip if name.startswith(f"{key}.")]
        if isinstance(field.default, BaseModel):
            rows += [{**row, "name": f"{key}.{row['name']}"} for row in list_parameters(type(field.default), inner)]
        else:
            rows.append({"name": key, "default": field.default, "description": field.description or ""})
    return rows


def describe(record, parameters) -> dict[str, Any]:
    """A method, scene or network as plain data."""
    return {
        "name": record.name,
        "summary": record.summary,
        "reference": record.reference,
        "parameters": list_parameters(parameters),
    }


def print_json(records: Mapping[str, dict], name: str | None) -> None:
    """All records, or the one asked for."""
    print(json.dumps(records if name is None else records[name], indent=2))


def print_names(records: Mapping[str, str]) -> None:
    """A line of each: its name and what it is."""
    width = max(map(len, records))
    print("\n".join(f"{name:{width}}  {summary}" for name, summary in records.items()))


def print_listing(records: Mapping[str, Any], parameters: str, name: str | None, as_json: bool) -> None:
    """Records by name with a line each, or the one asked for with its parameters, an attribute of the record."""
    found = {key: describe(record, getattr(record, parameters)) for key, record in records.items()}
    if as_json:
        print_json(found, name)
    elif name is None:
        print_names({key: record["summary"] for key, record in found.items()})
    else:
        record = found[name]
        print(f"{name}: {record['summary']}\n{record['reference']}\n\n{format_table(record['parameters'])}")


def format_table(rows) -> str:
    """Parameters, their defaults and what they mean."""
    name = max((len(row["name"]) for row in rows), default=0)
    shown = [_short(row["default"]) for row in rows]
    default = max(map(len, shown), default=0)
    return "\n".join(
        f"  {row['name']:{name}}  {text:{default}}  {row['description']}" for row, text in zip(rows, shown, strict=True)
    )


def _short(value) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_short(item) for item in value) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
