"""``cdipipe table``: a figure of a study: a table, gallery, distribution, sweep or curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    study: Annotated[Path, typer.Argument(help="configuration of the study, .yaml; results lie in its output folder")],
    name: Annotated[str, typer.Argument(help="an entry of its tables, galleries, curves, distributions or sweeps")],
    output: Annotated[Path, typer.Option("-o", "--output", help="figure to write: .png, .svg or .pdf")],
    values: Annotated[Path | None, typer.Option(help="values of any but a gallery to write, .tsv")] = None,
) -> None:
    """Draw a table (with curves, where it has an axis, or a ranking), a gallery or another figure of a study."""
    from cdipipe.cli.imports import quick_imports

    with quick_imports():
        from cdipipe.figures import canvas
        from cdipipe.io.atomic import atomic_path
        from cdipipe.provenance import collect
        from cdipipe.study.config import load_config
        from cdipipe.study.drawing import draw

    canvas.check_figure_path(output)
    config = load_config(study)
    if values is not None and name in config.galleries:
        raise InputError(f"--values: '{name}' is a gallery and has none")
    figure, text = draw(config, name, str(study))
    if values is not None:
        with atomic_path(values) as part:
            part.write_text(text, encoding="utf-8")
    canvas.save_figure(figure, output, collect()["command"])
