"""``cdipipe scenes``: what can be simulated, and what each scene takes."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a scene, for its parameters")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the scenes, or one scene's parameters with defaults, meaning and reference."""
    from cdipipe.cli.methods import format_table
    from cdipipe.simulation.registry import all_scenes, get_scene

    scenes = all_scenes() if name is None else {name: get_scene(name)}
    records = {key: _describe(scene) for key, scene in scenes.items()}
    if as_json:
        print(json.dumps(records if name is None else records[name], indent=2))
    elif name is None:
        width = max(map(len, records))
        print("\n".join(f"{key:{width}}  {record['summary']}" for key, record in records.items()))
    else:
        record = records[name]
        print(f"{name}: {record['summary']}\n{record['reference']}\n\n{format_table(record['parameters'])}")


def _describe(scene) -> dict:
    from cdipipe.cli.methods import list_parameters

    return {
        "name": scene.name,
        "summary": scene.summary,
        "reference": scene.reference,
        "parameters": list_parameters(scene.parameters),
    }
