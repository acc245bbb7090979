"""``cdipipe collect``: metrics of many reconstructions as one tidy table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    files: Annotated[list[Path], typer.Argument(help="metrics.json files in folders MEASUREMENT/METHOD/")],
    output: Annotated[Path, typer.Option("-o", "--output", help="table to write, tab-separated")],
) -> None:
    """Collect metrics.json files into one table: a row per reconstruction, a column per metric."""
    import csv

    from cdipipe.io.atomic import atomic_path
    from cdipipe.io.metrics_file import read_metrics

    rows = []
    for path in files:
        measurement, method = path.absolute().parts[-3:-1]
        rows.append({"measurement": measurement, "method": method, **read_metrics(path)})
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with atomic_path(output) as part, open(part, "w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, columns, delimiter="\t", lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
