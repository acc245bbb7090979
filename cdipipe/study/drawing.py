"""A figure of a study, whatever kind of it: from the results in the study's folder to the picture and its values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cdipipe.errors import InputError
from cdipipe.settings import unknown_name
from cdipipe.study.curves import fill_curves, write_curves
from cdipipe.study.distributions import best_and_worst, fill_distribution, write_distribution
from cdipipe.study.objects import read_objects
from cdipipe.study.rankings import rank_table, ranking_lines
from cdipipe.study.tables import fill_sweep, fill_table, write_tsv
from cdipipe.study.tree import Config

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(study: Config, name: str, where: str) -> tuple[Figure, str | None]:
    """Picture and values, as tab-separated text, of a figure; a gallery has no values.

    Parameters
    ----------
    where : how to call the study's file in messages

    Raises
    ------
    InputError   no such figure, or a result is missing or damaged
    """
    kinds = {
        "tables": _table,
        "galleries": _gallery,
        "curves": _curves,
        "distributions": _distribution,
        "sweeps": _sweep,
    }
    for kind, drawn in kinds.items():
        if name in getattr(study, kind):
            return drawn(study, name)
    known = [name for kind in kinds for name in getattr(study, kind)]
    raise unknown_name("figure", name, known, where)


def _table(study: Config, name: str) -> tuple[Figure, str]:
    from cdipipe.study.draw_rankings import ranking_figure
    from cdipipe.study.draw_tables import table_figure

    table = fill_table(study, name)
    if not study.tables[name].ranking:
        return table_figure(table), write_tsv(table)
    ranking = rank_table(table)
    return ranking_figure(ranking), write_tsv(table) + ranking_lines(ranking)


def _sweep(study: Config, name: str) -> tuple[Figure, str]:
    from cdipipe.study.draw_sweeps import sweep_figure

    tables = fill_sweep(study, name)
    if not tables:
        raise InputError(f"sweep '{name}': no result has a free likelihood; give free_fraction 0.05")
    return sweep_figure(tables), "".join(write_tsv(table) for table in tables)


def _gallery(study: Config, name: str) -> tuple[Figure, None]:
    from cdipipe.study.draw_agreements import agreement_figure
    from cdipipe.study.draw_galleries import gallery_figure

    entry, pairs = study.galleries[name], study.pairs_of(study.galleries[name])
    rows = {}
    for label, measurement in entry.rows.items():
        methods = [method for other, method in pairs if other == measurement]
        if methods:
            methods = _in_order(methods, study.rows_of(entry))
            rows[label] = read_objects(study, measurement, methods, entry.sample, entry.misfit)
    if not rows:
        raise InputError(f"gallery '{name}': none of its measurements is reconstructed by one of its methods")
    figure = agreement_figure if entry.misfit else gallery_figure
    return figure(rows, study.rows_of(entry), entry.title or name, entry.phase), None


def _curves(study: Config, name: str) -> tuple[Figure, str]:
    from cdipipe.study.draw_curves import curves_figure

    curves = fill_curves(study, name)
    return curves_figure(curves), write_curves(curves)


def _in_order(methods: list[str], order: list[str]) -> list[str]:
    return [method for method in order if method in methods]


def _distribution(study: Config, name: str) -> tuple[Figure, str]:
    from cdipipe.study.draw_distributions import Example, distribution_figure

    entry, found = study.distributions[name], fill_distribution(study, name)
    first, values = next(iter(found.values.items()))
    ends = []
    for numbers in best_and_worst(found, entry.shown):
        places = [(float(values[number]), *found.places[number]) for number in numbers]
        ends.append([Example(value, read_objects(study, m, [first], index)) for value, m, index in places])
    return distribution_figure(found, *ends, entry.phase), write_distribution(found)
