"""``cdipipe metrics``: what is measured, and what each number means."""

from __future__ import annotations

from typing import Annotated

import typer


def command(
    name: Annotated[str | None, typer.Argument(help="a metric, for all that is known of it")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
) -> None:
    """List the metrics, or what one of them means, its unit, its better end and what it needs."""
    from cdipipe.cli.listing import print_json, print_names
    from cdipipe.metrics.registry import all_metrics, get_metric

    metrics = all_metrics() if name is None else {name: get_metric(name)}
    records = {key: _describe(metric) for key, metric in metrics.items()}
    if as_json:
        print_json(records, name)
    elif name is None:
        print_names({key: record["meaning"] for key, record in records.items()})
    else:
        record = records[name]
        print(f"{name}: {record['meaning']}\n")
        print_names({key: str(record[key]) for key in ("heading", "unit", "better", "needs", "of")})


def _describe(metric) -> dict:
    return {
        "name": metric.name,
        "heading": metric.heading,
        "meaning": metric.meaning,
        "unit": metric.unit or "none",
        "better": metric.good or "neither",
        "needs": ", ".join(metric.needs) or "nothing",
        "of": metric.of,
    }
