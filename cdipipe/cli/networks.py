"""``cdipipe networks``: what can be trained, and what each training takes."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a network, for its settings")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the networks, or one network's settings with defaults, meaning and reference."""
    from cdipipe.cli.listing import print_listing
    from cdipipe.networks.registry import all_networks, get_network

    networks = all_networks() if name is None else {name: get_network(name)}
    print_listing(networks, "settings", name, as_json)
