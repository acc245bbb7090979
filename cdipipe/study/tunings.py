"""``tune:`` of a method: its settings are chosen for each measurement before it runs, see ``cdipipe.tuning``.

    methods:
      hio: {method: hio, iterations: 400}
      hio_tuned: {method: hio, iterations: 400, tune: {budget: 120}}

Works on plain data, after grids: what stands under ``tune`` goes to ``tunings`` under the method's name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cdipipe.settings import merge


def gather_tunings(study: Mapping[str, Any]) -> dict[str, Any]:
    """The study with what its methods say under ``tune`` in one place."""
    if not isinstance(study.get("methods"), Mapping):
        return dict(study)
    methods, tunings = {}, {}
    for name, entry in study["methods"].items():
        if isinstance(entry, Mapping) and "tune" in entry:
            tunings[name] = {} if entry["tune"] is None else entry["tune"]
            entry = {key: value for key, value in entry.items() if key != "tune"}
        methods[name] = entry
    return (
        {**study, "methods": methods, "tunings": merge(tunings, study.get("tunings") or {})} if tunings else dict(study)
    )
