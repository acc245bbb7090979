"""``cdipipe export``: an object as VTI for ParaView, npz or tif."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError

KINDS = (".vti", ".npz", ".tif")


def command(
    reconstruction: Annotated[Path, typer.Argument(help="reconstruction, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help=f"file to write: {', '.join(KINDS)}")],
) -> None:
    """Write amplitude, phase and support of an object for other programs."""
    if output.suffix not in KINDS:
        raise InputError(f"{output}: export writes {', '.join(KINDS)}; got '{output.suffix}'")

    from cdipipe.io.atomic import check_output
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.io.export import write_npz, write_tif, write_vti

    check_output(output)
    write = {".vti": write_vti, ".npz": write_npz, ".tif": write_tif}[output.suffix]
    write(output, read_reconstruction(reconstruction))
