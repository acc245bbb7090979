"""Which code each job of a study depends on: a change of it runs again the jobs that it can change, and no others."""

from __future__ import annotations

import functools
import json

from cdipipe.import_closure import Used, code_digest_of
from cdipipe.study.config import Config

STARTS = {
    "import": "cdipipe.cli.import_",
    "judge": "cdipipe.cli.evaluate_corpus",
    "shard": "cdipipe.simulation.corpora",
}
"""Where the code of a job begins, if not in the module of its command."""


def code_of_job(study: Config, command: str, **names: str) -> str:
    """Digest of all the code that a job depends on.

    Parameters
    ----------
    command : of the command line, or of ``STARTS``: ``shard`` draws samples of a corpus, ``judge`` judges networks
    names : what the job is about: ``measurement``, ``method``, ``corpus``, ``network``; others do not matter
    """
    return code_digest_of([STARTS.get(command, f"cdipipe.cli.{command}")], records_of_job(study, command, **names))


def records_of_job(
    study: Config, command: str, measurement: str = "", method: str = "", corpus: str = "", network: str = "", **_: str
) -> Used:
    """Methods, networks and scenes that a job uses."""
    used: dict[str, list[str]] = {"cdipipe.methods": [], "cdipipe.networks": [], "cdipipe.scenes": []}
    if network:
        used["cdipipe.networks"] = [study.networks[network].network]
    corpora = study.networks[network].corpora if command == "train" else [corpus] if corpus else []
    if corpora:
        used["cdipipe.scenes"] = sorted({study.corpora[name].scene for name in corpora})
    if command == "simulate":
        used["cdipipe.scenes"] = [study.measurements[measurement].scene]
    if command in ("reconstruct", "resolution", "tune"):
        steps = _steps(json.dumps(study.methods[method]))
        used["cdipipe.networks"] = [name for name in steps if name in _networks()]
        used["cdipipe.methods"] = [name for name in steps if name not in _networks()]
    return used


@functools.cache
def _steps(recipe: str) -> tuple[str, ...]:
    """Methods of a recipe, given as JSON, each once; with those that a step is asked to try."""
    from cdipipe.phasing.recipe import recipe_from_mapping

    steps = recipe_from_mapping(json.loads(recipe)).steps
    tried = [name for _, parameters in steps for name in getattr(parameters, "candidates", None) or ()]
    return tuple(dict.fromkeys([*(name for name, _ in steps), *tried]))


@functools.cache
def _networks() -> frozenset[str]:
    """Names of all networks, which are methods, too."""
    from cdipipe.networks.registry import all_networks

    return frozenset(all_networks())
