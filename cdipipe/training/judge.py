"""A trained network on a corpus: numbers of every sample, what they hang on, and the worst and the best."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cdipipe.errors import InputError
from cdipipe.io.corpus.read import Corpus
from cdipipe.metrics.many import MEASURES, judge_object
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.predictor import predictor_of
from cdipipe.settings import validate

SHOWN = 4
"""Of the worst and of the best samples, each."""


@dataclass(frozen=True)
class Judged:
    """What became of every sample of a corpus.

    Parameters
    ----------
    columns : (samples,) each: ``MEASURES``, and what they may hang on: ``support_px``, ``phase_range_rad``,
        ``phase_wraps``, ``photons`` and ``masked_share``
    facts : network, checkpoint's training, corpus, seconds per sample
    shown : samples of lowest and of highest correlation: number, ``truth`` and ``found``, laid over it
    """

    columns: dict[str, np.ndarray]
    facts: dict[str, Any]
    shown: list[dict[str, Any]]

    def summary(self) -> dict[str, dict[str, float]]:
        """Mean, standard deviation, median, 5 % and 95 % of each measure."""
        return {name: _spread(self.columns[name]) for name in MEASURES}

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it is written."""
        samples = {name: [_rounded(value) for value in column] for name, column in self.columns.items()}
        return {**self.facts, "summary": self.summary(), "samples": samples}


def judge_network(
    checkpoint: Path,
    corpus: Corpus,
    device,
    progress: Callable | None = None,
    batch: int = 32,
    settings: dict[str, Any] | None = None,
) -> Judged:
    """Let a network see every pattern of a corpus and compare what it makes of them with the truth.

    Parameters
    ----------
    device : torch device
    progress : callable that wraps an iterable, optional
    batch : patterns that go through the network together
    settings : of the network as a method, beside the checkpoint

    Raises
    ------
    InputError   no checkpoint of a network that takes patterns, unknown settings, or patterns that do not fit
    """
    found = read_checkpoint(checkpoint)
    network = found.network
    if network.parameters is None:
        raise InputError(f"{checkpoint}: {network.name} takes no patterns, so that it cannot be judged on a corpus")
    parameters = validate(network.parameters, {**(settings or {}), "checkpoint": str(checkpoint)}, network.name)
    shape = tuple(corpus.card["arrays"]["intensity"]["sample_shape"])
    predictor = predictor_of(network, parameters, shape, device)
    rows, kept, seconds = [], _Kept(), 0.0
    for chunk in corpus.chunks if progress is None else progress(corpus.chunks):
        arrays = corpus.read_chunk(*chunk, ("intensity", "object", "measured"))
        for start in range(0, len(arrays["object"]), batch):
            part = {name: array[start : start + batch] for name, array in arrays.items()}
            began = time.perf_counter()
            objects = _predict(predictor, part, device)
            seconds += time.perf_counter() - began
            for index, made in enumerate(objects):
                number = corpus.chunk_indices(*chunk)[start + index]
                truth, seen = part["object"][index], part["measured"][index]
                numbers, laid = judge_object(made, truth, part["intensity"][index], seen)
                rows.append(numbers | {"masked_share": float(1 - seen.mean())})
                kept.look_at(numbers["complex_correlation"], number, truth, laid)
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]} | _told(corpus)
    facts = {
        "network": network.name,
        "settings": settings or {},
        "checkpoint": {name: found.scores.get(name) for name in ("steps", "samples", "seconds", "best_loss")},
        "corpus": {"kind": corpus.plan.kind, "digest": corpus.card["digest"], "seed": corpus.plan.seed},
        "trained_on": found.corpus.get("kind"),
        "seen_in_training": found.corpus.get("digest") == corpus.card["digest"],
        "count": len(rows),
        "seconds_per_sample": seconds / len(rows),
    }
    return Judged(columns, facts, kept.all())


def _predict(predictor, part: dict[str, np.ndarray], device) -> np.ndarray:
    intensity, measured = (torch.from_numpy(part[name]).to(device) for name in ("intensity", "measured"))
    with torch.inference_mode():
        objects, _ = predictor(intensity, measured)
    return objects.cpu().numpy()


class _Kept:
    """The samples of lowest and of highest correlation so far."""

    def __init__(self):
        self.worst: list[dict[str, Any]] = []
        self.best: list[dict[str, Any]] = []

    def look_at(self, correlation: float, number: int, truth: np.ndarray, laid: np.ndarray) -> None:
        entry = {"correlation": correlation, "number": number, "truth": truth, "found": laid}
        self.worst = sorted([*self.worst, entry], key=lambda e: e["correlation"])[:SHOWN]
        self.best = sorted([*self.best, entry], key=lambda e: -e["correlation"])[:SHOWN]

    def all(self) -> list[dict[str, Any]]:
        """The worst, then the best; none twice where there are few."""
        shown = {entry["number"] for entry in self.worst}
        return self.worst + [entry for entry in self.best if entry["number"] not in shown]


def _told(corpus: Corpus) -> dict[str, np.ndarray]:
    """What the records say of the samples; of crystals the range of the phase without its ramp."""
    columns: dict[str, list[float]] = {"support_px": [], "phase_range_rad": [], "photons": []}
    for record in corpus.records():
        level = record.get("extra", {}).get("level_phase_range_rad")
        columns["support_px"].append(record["support_px"])
        columns["photons"].append(record["photons"])
        columns["phase_range_rad"].append(record["phase_range_rad"] if level is None else level)
    return {name: np.array(values, float) for name, values in columns.items()}


def _spread(values: np.ndarray) -> dict[str, float]:
    low, middle, high = np.quantile(values, [0.05, 0.5, 0.95])
    numbers = {"mean": values.mean(), "std": values.std(), "median": middle, "low": low, "high": high}
    return {name: _rounded(value) for name, value in numbers.items()}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
