"""``cdipipe methods``: what there is, and what each method takes."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a method, for its parameters")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the methods, or one method's parameters with defaults, meaning and reference."""
    from cdipipe.cli.listing import describe, format_table, list_parameters, print_json, print_names
    from cdipipe.phasing.options import ignored_by
    from cdipipe.phasing.recipe import Recipe
    from cdipipe.phasing.registry import all_methods, get_method

    methods = all_methods() if name is None else {name: get_method(name)}
    records = {key: describe(method, method.parameters) for key, method in methods.items()}
    common = {key: list_parameters(Recipe, skip=("steps", *ignored_by(method))) for key, method in methods.items()}
    if as_json:
        print_json({key: {**record, "common": common[key]} for key, record in records.items()}, name)
    elif name is None:
        print_names({key: record["summary"] for key, record in records.items()})
    else:
        record = records[name]
        print(f"{name}: {record['summary']}\n{record['reference']}\n")
        print(format_table(record["parameters"]) + "\n\nof the recipe\n" + format_table(common[name]))
