"""``cdipipe table``: a table or gallery of a study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    study: Annotated[Path, typer.Argument(help="configuration of the study, .yaml; results lie in its output folder")],
    name: Annotated[str, typer.Argument(help="an entry of its tables, galleries or distributions")],
    output: Annotated[Path, typer.Option("-o", "--output", help="figure to write: .png, .svg or .pdf")],
    values: Annotated[Path | None, typer.Option(help="values of a table or distribution to write, .tsv")] = None,
) -> None:
    """Draw one of a study's tables (with curves, where it has an axis, or a ranking), galleries or distributions."""
    from cdipipe.figures import canvas
    from cdipipe.io.atomic import atomic_path
    from cdipipe.provenance import collect
    from cdipipe.settings import unknown_name
    from cdipipe.study.config import load_config
    from cdipipe.study.tables import fill_table, write_tsv

    canvas.check_figure_path(output)
    config = load_config(study)
    if name in config.galleries:
        if values is not None:
            raise InputError(f"--values: '{name}' is a gallery and has none")
        figure = _gallery(config, name)
    elif name in config.tables:
        from cdipipe.study.draw_tables import table_figure

        table = fill_table(config, name)
        figure, text = table_figure(table), write_tsv(table)
        if config.tables[name].ranking:
            from cdipipe.study.draw_ranking import rank_table, ranking_figure, ranking_lines

            ranking = rank_table(table)
            figure, text = ranking_figure(ranking), text + ranking_lines(ranking)
    elif name in config.distributions:
        figure, text = _distribution(config, name)
    else:
        known = [*config.tables, *config.galleries, *config.distributions]
        raise unknown_name("table, gallery or distribution", name, known, str(study))
    if values is not None:
        with atomic_path(values) as part:
            part.write_text(text, encoding="utf-8")
    canvas.save_figure(figure, output, collect()["command"])


def _gallery(config, name: str):
    from cdipipe.study.draw_tables import gallery_figure

    entry = config.galleries[name]
    methods = config.rows_of(entry)
    shown = {measurement for measurement, _ in config.pairs_of(entry)}
    rows = [_row(config, entry, label, name, methods) for label, name in entry.rows.items() if name in shown]
    if not rows:
        raise InputError(f"gallery '{name}': none of its measurements is reconstructed by one of its methods")
    return gallery_figure(rows, methods, entry.title or name, entry.phase)


def _row(config, entry, label: str, measurement: str, methods: list[str]):

    from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth
    from cdipipe.metrics.align import align_to
    from cdipipe.metrics.evaluate import lay_over_truth

    place = Path(config.output) / measurement
    results = {
        method: read_reconstruction(place / method / config.result_name())
        for method in methods
        if (measurement, method) in config.pairs()
    }
    known = measurement in config.simulated()
    counts, truth = read_measurement(place / "M.cxi"), read_truth(place / "T.cxi") if known else None
    first = truth if known else next(iter(results.values()))
    sample = min(entry.sample, counts.pattern_count - 1)
    shown, support = _pick(first.object, first.stack, sample), _pick(first.support, first.stack, sample)
    objects = {}
    for method, result in results.items():
        if known:
            objects[method] = _plane(lay_over_truth(result, counts, truth, sample))
        else:
            objects[method] = _plane(align_to(shown, _pick(result.object, result.stack, sample), scale=True).object)
    return label, _plane(shown) if known else None, _plane(shown), _plane(support), objects


def _distribution(config, name: str):
    """Figure and text of a distribution."""
    from cdipipe.study.distributions import fill_distribution, write_distribution
    from cdipipe.study.draw_distributions import best_and_worst, distribution_figure

    entry, found = config.distributions[name], fill_distribution(config, name)
    first, values = next(iter(found.values.items()))
    shown = []
    for numbers in best_and_worst(found, entry.shown):
        places = [(float(values[number]), *found.places[number]) for number in numbers]
        shown.append([(value, *_pair(config, measurement, first, index)) for value, measurement, index in places])
    return distribution_figure(found, *shown, entry.phase), write_distribution(found)


def _pair(config, measurement: str, method: str, index: int):
    """Truth (or None), its support, and the object of one pattern laid over it; images, of volumes the middle plane."""
    from cdipipe.io.cxi import read_measurement, read_reconstruction, read_truth
    from cdipipe.metrics.evaluate import lay_over_truth

    place = Path(config.output) / measurement
    result = read_reconstruction(place / method / config.result_name())
    if measurement not in config.simulated():
        support, found = (_plane(_pick(array, result.stack, index)) for array in (result.support, result.object))
        return None, support, found
    counts, truth = read_measurement(place / "M.cxi"), read_truth(place / "T.cxi")
    true, support = (_plane(_pick(array, truth.stack, index)) for array in (truth.object, truth.support))
    return true, support, _plane(lay_over_truth(result, counts, truth, index))


def _pick(array, stack: str, sample: int):
    """One pattern's array."""
    return array[sample] if stack in ("shots", "movie") else array


def _plane(array):
    """The array of an image, the middle plane of a volume."""
    return array if array.ndim == 2 else array[len(array) // 2]
