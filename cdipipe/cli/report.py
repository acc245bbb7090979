"""``cdipipe report``: one HTML page of a whole study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    study: Annotated[Path, typer.Argument(help="configuration of the study, .yaml; results lie in its output folder")],
    output: Annotated[Path, typer.Option("-o", "--output", help="page to write, .html")],
) -> None:
    """Put tables, pictures and provenance of a study on one self-contained page."""
    from cdipipe.cli.imports import quick_imports

    with quick_imports():
        from cdipipe.io.atomic import atomic_path
        from cdipipe.study.config import load_config
        from cdipipe.study.report import write_html

    page = write_html(load_config(study), study)
    with atomic_path(output) as part:
        part.write_text(page, encoding="utf-8")
