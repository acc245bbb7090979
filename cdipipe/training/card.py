"""The card of a trained network, in words: what it learned from, for how long, and with which settings."""

from __future__ import annotations

import json
from typing import Any

from cdipipe.networks.checkpoint import Checkpoint


def card_of(checkpoint: Checkpoint) -> str:
    """Markdown that goes beside a checkpoint of a training.

    Parameters
    ----------
    checkpoint : with its settings, corpus, scores and provenance
    """
    network, scores, corpus = checkpoint.network, checkpoint.scores, checkpoint.corpus
    chosen, built = dict(_chosen(checkpoint.settings)), dict(_chosen(checkpoint.settings.network))
    chosen.pop("network", None)
    count = sum(tensor.numel() for tensor in checkpoint.weights.values() if tensor.is_floating_point())
    made = checkpoint.provenance
    lines = [
        f"# {network.name}",
        "",
        f"{network.summary}. {network.reference}",
        "",
        f"* **Weights**: {count:,} numbers; {_listed(built)}",
        f"* **Corpus**: {corpus['kind']}, {corpus['count']:,} samples, digest `{corpus['digest']}`",
        f"* **Seed**: {checkpoint.settings.seed}",
        f"* **Samples seen**: {scores['samples']:,} in {scores['steps']:,} steps, {scores['seconds'] / 60:.1f} minutes",
        f"* **Settings**: {_listed(chosen)}",
        f"* **Least loss on the samples kept for validation**: {scores['best_loss']:.5g}",
    ]
    if "command" in made:
        versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
        lines += [f"* **Made by**: {versions}; {made['time_utc']}", "", f"    {made['command']}"]
    return "\n".join(lines) + "\n"


def _chosen(settings) -> list[tuple[str, Any]]:
    """Settings that are not what they are by default."""
    plain = settings.model_dump(mode="json")
    default = type(settings)().model_dump(mode="json")
    return [(name, value) for name, value in plain.items() if value != default[name]]


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"`{name}={json.dumps(value)}`" for name, value in values.items()) or "as by default"
