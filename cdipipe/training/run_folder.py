"""What a training leaves behind: best.pt with its card, last.pt, curve.tsv, settings.json, and TensorBoard's events."""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.networks.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from cdipipe.training.card import card_of

BEST, LAST, CURVE, CARD = "best.pt", "last.pt", "curve.tsv", "card.md"


class RunFolder:
    """The folder of one training; only the first process writes.

    Parameters
    ----------
    folder : made if needed
    rows : of the curve so far, as a checkpoint kept them
    """

    def __init__(self, folder: Path, rows: list[dict[str, Any]]):
        self.folder, self.rows = folder, rows
        folder.mkdir(parents=True, exist_ok=True)
        self._events = None

    def begin(self, settings) -> None:
        """Write down the settings in force."""
        with atomic_path(self.folder / "settings.json") as part:
            part.write_text(json.dumps(settings.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")

    def add_row(self, row: dict[str, Any]) -> None:
        """One more line of the curve."""
        self.rows.append(row)
        names = list(dict.fromkeys(name for r in self.rows for name in r))
        lines = ["\t".join(names), *("\t".join(_text(r.get(name)) for name in names) for r in self.rows)]
        with atomic_path(self.folder / CURVE) as part:
            part.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._tell_tensorboard(row)

    def save(self, checkpoint: Checkpoint, best: bool) -> None:
        """``last.pt``, and ``best.pt``, without what only a resumed training needs, with its card."""
        if best:
            write_checkpoint(self.folder / BEST, replace(checkpoint, training={}))
            with atomic_path(self.folder / CARD) as part:
                part.write_text(card_of(checkpoint), encoding="utf-8")
        write_checkpoint(self.folder / LAST, checkpoint)

    def close(self) -> None:
        if self._events is not None:
            self._events.close()

    def _tell_tensorboard(self, row: dict[str, Any]) -> None:
        """The same numbers for TensorBoard, where it is installed."""
        if importlib.util.find_spec("tensorboard") is None:
            return
        if self._events is None:
            from torch.utils.tensorboard import SummaryWriter

            self._events = SummaryWriter(str(self.folder / "tensorboard"))
        for name, value in row.items():
            if isinstance(value, float):
                self._events.add_scalar(name, value, row["step"])


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)


@functools.cache
def code_of_training(network: str, scene: str | None) -> str:
    """Digest of the code that decides on the weights of a network that learns from samples of a scene, or of none."""
    from cdipipe.import_closure import code_digest_of

    return code_digest_of(
        ["cdipipe.training.fit"], {"cdipipe.networks": [network], "cdipipe.scenes": [scene] if scene else []}
    )


def clear(folder: Path) -> None:
    """Remove a training."""
    for name in (LAST, BEST, CURVE, CARD, "settings.json"):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / "tensorboard", ignore_errors=True)


def find_last(folder: Path, resume: bool, network: str) -> Checkpoint | None:
    """The checkpoint to go on from; None where a training begins.

    Raises
    ------
    InputError   a training is there and ``resume`` is not asked for, or it is one of another network
    """
    last = folder / LAST
    if not last.exists():
        return None
    if not resume:
        raise InputError(f"{folder}: holds a training; --resume goes on with it, or take another folder")
    found = read_checkpoint(last, network)
    if not found.training:
        raise InputError(f"{last}: a checkpoint for use only; expected one that `cdipipe train` left at {LAST}")
    return found
