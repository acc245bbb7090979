"""``cdipipe methods``: what there is, and what each method takes."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a method, for its parameters")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the methods, or one method's parameters with defaults, meaning and reference."""
    from cdipipe.phasing.recipe import Recipe
    from cdipipe.phasing.registry import all_methods, get_method

    methods = all_methods() if name is None else {name: get_method(name)}
    records = {key: _describe(method) for key, method in methods.items()}
    common = list_parameters(Recipe, skip=("steps",))
    if as_json:
        records = {key: {**record, "common": common} for key, record in records.items()}
        print(json.dumps(records if name is None else records[name], indent=2))
    elif name is None:
        width = max(map(len, records))
        print("\n".join(f"{key:{width}}  {record['summary']}" for key, record in records.items()))
    else:
        record = records[name]
        print(f"{name}: {record['summary']}\n{record['reference']}\n")
        print(format_table(record["parameters"]) + "\n\nfor every method\n" + format_table(common))


def _describe(method) -> dict:
    return {
        "name": method.name,
        "summary": method.summary,
        "reference": method.reference,
        "parameters": list_parameters(method.parameters),
    }


def list_parameters(model, skip=()) -> list[dict]:
    """Flat list of a model's parameters; nested models appear with dotted names."""
    from pydantic import BaseModel

    rows = []
    for key, field in model.model_fields.items():
        if key in skip:
            continue
        if isinstance(field.default, BaseModel):
            rows += [{**row, "name": f"{key}.{row['name']}"} for row in list_parameters(type(field.default))]
        else:
            rows.append({"name": key, "default": field.default, "description": field.description or ""})
    return rows


def format_table(rows) -> str:
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
