"""``cdipipe networks``: what can be trained, and what each training takes."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a network, for its settings")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """List the networks, or one network's settings with defaults, meaning and reference."""
    from cdipipe.cli.listing import describe, format_table, print_json, print_names
    from cdipipe.networks.registry import all_networks, get_network

    networks = all_networks() if name is None else {name: get_network(name)}
    records = {key: describe(network, network.settings) for key, network in networks.items()}
    if as_json:
        print_json(records, name)
    elif name is None:
        print_names({key: record["summary"] for key, record in records.items()})
    else:
        record = records[name]
        print(f"{name}: {record['summary']}\n{record['reference']}\n\n{format_table(record['parameters'])}")
