"""How metrics are found: those of ``cdipipe.metrics.catalogue``, and those of other packages."""

from __future__ import annotations

from typing import Literal

from cdipipe.metrics import catalogue, crystal, hits, trust
from cdipipe.metrics.record import Metric
from cdipipe.plugins import Registry, in_list

OURS = (*catalogue.METRICS, *trust.METRICS, *hits.METRICS, *crystal.METRICS)
METRICS = Registry("metric", "cdipipe.metrics", Metric, in_list(OURS))


def all_metrics() -> dict[str, Metric]:
    """Every metric by name, in the order of tables; those of other packages last."""
    return METRICS.all()


def get_metric(name: str, where: str = "") -> Metric:
    """The metric called ``name``, or an InputError that lists the known ones."""
    return METRICS.get(name, where)


def heading_of(name: str) -> str:
    """What figures call an entry of metrics.json, which need not be one of the known metrics."""
    known = all_metrics()
    return known[name].heading if name in known else name


def good_end(name: str) -> Literal["low", "high"] | None:
    """Which end of an entry of metrics.json is better, as far as it is known."""
    known = all_metrics()
    return known[name].good if name in known else None
