"""``cdipipe shots``: which shots of a stack are hits, and what is known of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    measurement: Annotated[Path, typer.Option(help="stack of shots, .cxi")],
    output: Annotated[
        Path,
        typer.Option("-o", "--output", help="table to write, .tsv; or a folder, for NAME/shots.tsv and .html of each"),
    ],
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="reconstructions of it, .cxi; left out: the patterns alone", show_default=False),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="page to write, .html: the table with small pictures, to be sorted")
    ] = None,
) -> None:
    """A row for each shot: its kind (single, multiple, weak, blank), photons, misfits, size, sharpness, verdict."""
    from cdipipe.cli.labels import labels_of
    from cdipipe.io.atomic import check_output

    results: list[Path | None] = [*(files or [None])]
    if output.suffix == ".tsv":
        if len(results) > 1:
            raise InputError(f"-o {output}: a table of one reconstruction; for {len(results)} give a folder")
        outputs = [(output, page)]
    elif output.suffix or not files or page is not None:
        raise InputError(
            f"-o {output}: expected a name that ends in .tsv; or a folder, for reconstructions, without --page"
        )
    else:
        outputs = [(output / name / "shots.tsv", output / name / "shots.html") for name in labels_of(files)]
    for path, ending in ((place, end) for pair in outputs for place, end in zip(pair, (".tsv", ".html"), strict=True)):
        if path is not None and path.suffix != ending:
            raise InputError(f"{path}: expected a name that ends in {ending}")
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            check_output(path)

    from cdipipe.io.cxi import read_measurement

    data = read_measurement(measurement)
    for result, places in zip(results, outputs, strict=True):
        _write(data, result, *places)


def _write(data, path: Path | None, output: Path, page: Path | None) -> None:
    """Table and page, both or none."""
    from cdipipe.io.atomic import atomic_path
    from cdipipe.io.cxi import read_reconstruction
    from cdipipe.metrics.shots import as_tsv, table_of
    from cdipipe.progress import progress

    result = None if path is None else read_reconstruction(path)
    columns = table_of(data, result, progress=lambda items: progress(items, "shots"))
    with atomic_path(output) as part:
        part.write_text(as_tsv(columns), encoding="utf-8")
        if page is not None:
            from cdipipe.figures.shots import write_page

            with atomic_path(page) as page_part:
                page_part.write_text(write_page(columns, data, result, page.stem), encoding="utf-8")
    kinds = next((list(column.values) for column in columns if column.name == "kind"), None)
    names = ("single", "multiple", "weak", "blank")
    told = "not judged" if kinds is None else ", ".join(f"{kinds.count(kind)} {kind}" for kind in names)
    print(f"{output}: {data.pattern_count} shots: {told}")
