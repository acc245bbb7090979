"""``cdipipe view``: a page to look into an object: slices with sliders, zoom and values, and surfaces that turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    file: Annotated[Path, typer.Argument(help="reconstruction, truth, or strain of a crystal, .cxi")],
    output: Annotated[Path, typer.Option("-o", "--output", help="page to write, .html; it needs no network")],
) -> None:
    """Write a page for the browser: slices, zoom and values; of a volume also its surface, to be turned."""
    from cdipipe.io.atomic import check_output
    from cdipipe.io.cxi import file_kind

    if output.suffix != ".html":
        raise InputError(f"-o {output}: expected a name that ends in .html")
    check_output(output)
    kind = file_kind(file)

    from cdipipe.figures import viewer
    from cdipipe.provenance import collect

    if kind == "strain":
        from cdipipe.bragg.files import read_strain

        view = viewer.crystal_view(read_strain(file))
    elif kind in ("reconstruction", "truth"):
        from cdipipe.io.cxi import read_reconstruction, read_truth

        view = viewer.object_view(read_reconstruction(file) if kind == "reconstruction" else read_truth(file))
    else:
        raise InputError(f"{file}: a {kind}; `view` shows objects: reconstructions, truths, strain")
    viewer.write_page(output, view, file.name, collect()["command"])
    print(f"{output}: {output.stat().st_size / 2**20:.1f} MiB; open it in a browser")
