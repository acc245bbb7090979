"""``cdipipe export``: an object in the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.io.export import OWN, exporter_of

SUFFIXES = "; ".join(f".{exporter.name} {exporter.summary}" for exporter in OWN)


def command(
    reconstruction: Annotated[Path, typer.Argument(help="reconstruction, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help=f"file to write: {SUFFIXES}; or what a plug-in adds")],
) -> None:
    """Write amplitude, phase and support of an object for other programs."""
    exporter = exporter_of(output)

    from cdipipe.io.atomic import check_output
    from cdipipe.io.cxi import read_reconstruction

    check_output(output)
    exporter.write(output, read_reconstruction(reconstruction))
