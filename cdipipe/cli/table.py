"""``cdipipe table``: a table or gallery of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    study: Annotated[Path, typer.Argument(help="configuration of the study, .yaml; results lie in its output folder")],
    name: Annotated[str, typer.Argument(help="an entry of its tables or galleries")],
    output: Annotated[Path, typer.Option("-o", "--output", help="figure to write: .png, .svg or .pdf")],
    values: Annotated[Path | None, typer.Option(help="values of a table to write, .tsv")] = None,
) -> None:
    """Draw one of a study's tables (with curves, where it has an axis) or galleries."""
    from cdipipe.config import load_config
    from cdipipe.figures import canvas
    from cdipipe.io.atomic import atomic_path
    from cdipipe.provenance import collect
    from cdipipe.settings import unknown_name
    from cdipipe.study_tables import fill_table, write_tsv

    canvas.check_figure_path(output)
    config = load_config(study)
    if name in config.galleries:
        if values is not None:
            raise InputError(f"--values: '{name}' is a gallery and has none")
        figure = _gallery(config, name)
    elif name in config.tables:
        from cdipipe.figures.study import table_figure

        table = fill_table(config, name)
        figure = table_figure(table)
        if values is not None:
            with atomic_path(values) as part:
                part.write_text(write_tsv(table), encoding="utf-8")
    else:
        raise unknown_name("table or gallery", name, [*config.tables, *config.galleries], str(study))
    canvas.save_figure(figure, output, collect()["command"])


def _gallery(config, name: str):
    from cdipipe.figures.study import gallery_figure

    entry = config.galleries[name]
    methods = config.rows_of(entry)
    shown = {measurement for measurement, _ in config.pairs_of(entry)}
    rows = [_row(config, entry, label, name, methods) for label, name in entry.rows.items() if name in shown]
    if not rows:
        raise InputError(f"gallery '{name}': none of its measurements is reconstructed by one of its methods")
    return gallery_figure(rows, methods, entry.title or name, entry.phase)


def _row(config, entry, label: str, measurement: str, methods: list[str]):
    import numpy as np

    from cdipipe.io.cxi import read_reconstruction, read_truth

    place = Path(config.output) / measurement
    results = {
        method: read_reconstruction(place / method / config.result_name())
        for method in methods
        if (measurement, method) in config.pairs()
    }
    if measurement in config.simulated():
        truth = read_truth(place / "T.cxi")
        first = _pick(truth.object, truth.stack, entry.sample), _pick(truth.support, truth.stack, entry.sample)
    else:
        best = next(iter(results.values()))
        first = _pick(best.object, best.stack, entry.sample), _pick(best.support, best.stack, entry.sample)
    objects = {}
    for method, result in results.items():
        fixed = "static_region" in result.forward
        objects[method] = np.asarray(_pick(result.object, result.stack, entry.sample)), fixed
    return label, *first, objects


def _pick(array, stack: str, sample: int):
    """One pattern's plane: of a stack the chosen one, of a volume the middle."""
    if stack in ("shots", "movie"):
        return array[min(sample, len(array) - 1)]
    return array if array.ndim == 2 else array[len(array) // 2]
