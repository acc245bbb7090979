"""``cdipipe export``: an object in the format of another program."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.io.export import OWN, exporter_of

SUFFIXES = "; ".join(f".{exporter.name} {exporter.summary}" for exporter in OWN)


def command(
    reconstruction: Annotated[Path, typer.Argument(help="reconstruction, or what `strain` or `multipeak` wrote, .cxi")],
    output: Annotated[
        Path,
        typer.Option(
            "-o",
            "--output",
            help=f"file to write: {SUFFIXES}; or what a plug-in adds; of strain .vtu, too",
        ),
    ],
) -> None:
    """Write amplitude, phase and support of an object for other programs."""
    from cdipipe.io.atomic import check_output
    from cdipipe.io.cxi import file_kind, read_reconstruction

    if file_kind(reconstruction) == "strain":
        from cdipipe.bragg.export import export_strain
        from cdipipe.bragg.files import read_strain

        check_output(output)
        return export_strain(output, read_strain(reconstruction))
    if file_kind(reconstruction) == "crystal":
        from cdipipe.bragg.export_crystal import export_crystal
        from cdipipe.bragg.files import read_crystal

        check_output(output)
        return export_crystal(output, read_crystal(reconstruction))
    exporter = exporter_of(output)
    check_output(output)
    exporter.write(output, read_reconstruction(reconstruction))
