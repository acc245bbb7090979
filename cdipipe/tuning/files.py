"""What a search for settings leaves: a recipe that can be run, a record of it, and the journal of its trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cdipipe.errors import InputError
from cdipipe.tuning.tune import Tuned


def journal_of(path: Path) -> Path:
    """The journal of trials beside a tuned recipe."""
    return path.with_suffix(".trials")


def record_of(path: Path) -> Path:
    """The record of the search beside a tuned recipe."""
    return path.with_suffix(".json")


def write_tuned(path: Path, found: Tuned, inputs: list[Path]) -> None:
    """The recipe as YAML, and beside it the record of the search as JSON.

    Parameters
    ----------
    inputs : files that decided it, for the provenance
    """
    import yaml

    from cdipipe.io.atomic import atomic_path
    from cdipipe.provenance import collect

    provenance = collect(inputs)
    with atomic_path(record_of(path)) as part:
        part.write_text(json.dumps(found.record() | {"provenance": provenance}, indent=1) + "\n", encoding="utf-8")
    with atomic_path(path) as part:
        head = f"# {found.verdict}\n# {provenance['command']}\n"
        part.write_text(head + yaml.safe_dump(found.recipe, sort_keys=False), encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """The record of a search.

    Raises
    ------
    InputError   missing or damaged
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {key: found[key] for key in ("recipe", "settings", "defaults", "trials", "meetings", "verdict")}
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; run the workflow that makes it first") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a record of a search for settings, or damaged; remove it") from error
