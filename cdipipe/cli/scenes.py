"""``cdipipe scenes``: what can be simulated, and what each scene takes."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a scene, for its parameters")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the scenes, or one scene's parameters with defaults, meaning and reference."""
    from cdipipe.cli.listing import describe, format_table, print_json, print_names
    from cdipipe.simulation.registry import all_scenes, get_scene

    scenes = all_scenes() if name is None else {name: get_scene(name)}
    records = {key: describe(scene, scene.parameters) for key, scene in scenes.items()}
    if as_json:
        print_json(records, name)
    elif name is None:
        print_names({key: record["summary"] for key, record in records.items()})
    else:
        record = records[name]
        print(f"{name}: {record['summary']}\n{record['reference']}\n\n{format_table(record['parameters'])}")
