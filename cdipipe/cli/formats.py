"""``cdipipe formats``: which files are read, and which are written for other programs."""

from __future__ import annotations

from typing import Annotated

import typer


def command(as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False) -> None:
    """List the formats that `cdipipe import` reads and those that `cdipipe export` writes."""
    from cdipipe.cli.listing import print_json, print_names
    from cdipipe.io.export import EXPORTS
    from cdipipe.io.importing.readers import READERS

    read = {name: f"{reader.summary} (.{', .'.join(reader.suffixes)})" for name, reader in READERS.all().items()}
    written = {name: exporter.summary for name, exporter in EXPORTS.all().items()}
    if as_json:
        return print_json({"read": read, "written": written}, None)
    print("read by `cdipipe import`, also with .gz, .bz2, .xz")
    print_names(read)
    print("\nwritten by `cdipipe export`")
    print_names(written)
