"""``cdipipe evaluate CHECKPOINT --corpus DIR``: a trained network on samples that it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cdipipe.errors import InputError

FIGURES = ("errors.png", "extremes.png")


def evaluate_corpus(
    checkpoint: Path, corpus: Path, output: Path, figures: Path | None, device: str, pairs: list[str]
) -> None:
    """Judge a network on every sample of a corpus; write the numbers and, where asked for, two pictures.

    Raises
    ------
    InputError   names that do not fit, no checkpoint, or no corpus
    """
    from cdipipe.io.atomic import atomic_path, check_output
    from cdipipe.io.corpus.read import open_corpus
    from cdipipe.ops.device import choose_device
    from cdipipe.progress import progress
    from cdipipe.settings import parse_settings
    from cdipipe.training.judge import judge_network

    if output.suffix != ".json":
        raise InputError(f"-o {output}: expected a name that ends in .json")
    if figures is not None and figures.exists() and not figures.is_dir():
        raise InputError(f"--figures {figures}: is no folder")
    output.parent.mkdir(parents=True, exist_ok=True)
    check_output(output)
    samples = open_corpus(corpus)
    judged = judge_network(
        checkpoint,
        samples,
        choose_device(device),
        progress=lambda items: progress(items, "evaluate"),
        settings=parse_settings(pairs),
    )
    with atomic_path(output) as part:
        part.write_text(json.dumps(judged.to_dict(), indent=1) + "\n", encoding="utf-8")
    if figures is not None:
        _draw(judged, samples, figures)
    print(f"{output}: {judged.facts['network']} on {judged.facts['count']} {samples.plan.kind}")
    print(f"{'':24}{'mean':>9}{'std':>9}{'median':>9}{'5 %':>9}{'95 %':>9}")
    for name, told in judged.summary().items():
        print(f"{name:24}" + "".join(f"{told[key]:9.4f}" for key in ("mean", "std", "median", "low", "high")))
    for note in notes(judged.facts, str(corpus)):
        print(f"note: {note}")


def notes(facts: dict[str, Any], corpus: str) -> list[str]:
    """What makes the numbers better or worse than they would be on new samples like those of the training.

    Parameters
    ----------
    facts : of ``cdipipe.training.judge.Judged``
    corpus : its folder
    """
    found, kind = [], facts["corpus"]["kind"]
    if facts["seen_in_training"]:
        found.append(f"{corpus} is what the network was trained on; judge it by a corpus of another seed")
    if facts["trained_on"] and kind not in facts["trained_on"].split(" and "):
        found.append(f"the network was trained on {facts['trained_on']}, not on {kind}")
    return found


def _draw(judged, samples, folder: Path) -> None:
    from cdipipe.figures.canvas import save_figure
    from cdipipe.figures.judged import extremes_figure, judged_figure
    from cdipipe.provenance import collect

    folder.mkdir(parents=True, exist_ok=True)
    command, facts = collect()["command"], judged.facts
    title = f"{facts['network']} on {facts['count']} {samples.plan.kind}"
    save_figure(judged_figure(judged.columns, title), folder / FIGURES[0], command)
    save_figure(extremes_figure(judged.shown, f"{title}: the worst, then the best"), folder / FIGURES[1], command)
