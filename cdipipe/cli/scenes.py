"""``cdipipe scenes``: what can be simulated, and what each scene takes."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a scene, for its parameters")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the scenes, or one scene's parameters with defaults, meaning and reference."""
    from cdipipe.cli.listing import print_listing
    from cdipipe.simulation.registry import all_scenes, get_scene

    scenes = all_scenes() if name is None else {name: get_scene(name)}
    print_listing(scenes, "parameters", name, as_json)
