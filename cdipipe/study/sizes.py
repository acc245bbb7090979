"""How large a study will be, told before anything runs: patterns, starts, and the bytes of its arrays."""

from __future__ import annotations

import json
from dataclasses import dataclass

from cdipipe.settings import validate
from cdipipe.study.tree import Config

BYTES = {"measurement": 5, "truth": 9, "reconstruction": 10, "run": 8, "corpus": 13}
"""Per pixel of a pattern, before compression: counts and mask, object and support, both of a corpus."""


@dataclass(frozen=True)
class Patterns:
    """Patterns of a measurement or samples of a corpus: how many, of which shape."""

    count: int
    size: int
    ndim: int

    @property
    def pixels(self) -> int:
        """Of all of them."""
        return self.count * self.size**self.ndim


def patterns_of(entry, count: int | None = None) -> Patterns:
    """Of a scene by its parameters, of an import by its crop and frames.

    Parameters
    ----------
    entry : MeasurementEntry or CorpusEntry
    count : samples of a corpus
    """
    if getattr(entry, "import_", None):
        given = entry.import_
        crop, volume = list(given.crop or [256]), given.stack == "volume"
        pixels = 1.0
        for side in crop if len(crop) > 1 else crop * (3 if volume else 2):
            pixels *= side
        ndim = 3 if volume else 2
        frames = len(range(*slice(*map(int, given.frames.split(":"))).indices(10**6))) if given.frames else 1
        return Patterns(1 if volume else frames, round(pixels ** (1 / ndim)), ndim)
    from cdipipe.simulation.registry import get_scene

    found = validate(get_scene(entry.scene).parameters, entry.set, entry.scene).model_dump()
    ndim = 3 if entry.scene == "crystal" else found.get("dimensions") or 2
    return Patterns(count or (found.get("count") or 1) * (found.get("frames") or 1), found["size"], ndim)


def recipe_of(study: Config, method: str) -> tuple[str, int, int]:
    """Names of the steps, restarts and iterations of a method as the study runs it.

    Parameters
    ----------
    study : Config
    method : one of its methods
    """
    from cdipipe.phasing.plan import count_iterations
    from cdipipe.phasing.recipe import recipe_from_mapping, with_default

    mapping = json.loads(json.dumps(with_default(study.methods[method], "restarts", study.restarts)))
    _without_networks(mapping)
    recipe = recipe_from_mapping(mapping, method)
    return "+".join(dict.fromkeys(name for name, _ in recipe.steps)), recipe.restarts, count_iterations(recipe)


def _without_networks(mapping) -> None:
    """Names of the study's own networks are no files yet."""
    if isinstance(mapping, dict):
        mapping.pop("checkpoint", None)
    for value in mapping.values() if isinstance(mapping, dict) else mapping if isinstance(mapping, list) else ():
        _without_networks(value)


def disk_bytes(study: Config) -> float:
    """Arrays of the study before compression, without pictures.

    Parameters
    ----------
    study : Config
    """
    total = 0.0
    for name in study.used():
        entry = study.measurements[name]
        total += patterns_of(entry).pixels * (BYTES["measurement"] + BYTES["truth"] * bool(entry.scene))
    for measurement, method in study.pairs():
        runs = recipe_of(study, method)[1]
        kept = runs if study.keep_runs and (runs > 1) and not study.measurements[measurement].is_movie else 0
        total += patterns_of(study.measurements[measurement]).pixels * (BYTES["reconstruction"] + BYTES["run"] * kept)
    for name in study.built():
        entry = study.corpora[name]
        total += patterns_of(entry, entry.count).pixels * BYTES["corpus"]
    return total
