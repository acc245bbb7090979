"""How a live run takes and phases frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cdipipe.io.importing.options import ImportOptions
from cdipipe.live.frames import WhenFull
from cdipipe.measurement import Measurement


@dataclass(frozen=True)
class Plan:
    """How frames are taken and phased.

    Parameters
    ----------
    settings : parameters of the method
    iterations, every : a sequence such as ``20*ER`` after the prediction of every so many-th frame
    batch, wait_s : a batch is so many frames, or those that are there so long after the first of them came
    queue, when_full : frames that may wait, and what happens to more
    workers : batches that are phased at a time; None: one per core, on a GPU one
    device : ``cpu`` or ``cuda``
    idle_s : the run ends when no frame came for so long; None: it goes on
    options : of an import, for the corrections
    like : a measurement with whose options, mask and geometry frames are treated
    """

    settings: dict[str, Any]
    options: ImportOptions
    iterations: str = ""
    every: int = 1
    batch: int = 64
    wait_s: float = 0.005
    queue: int = 1024
    when_full: WhenFull = "block"
    workers: int | None = None
    device: str = "cpu"
    idle_s: float | None = None
    like: Measurement | None = None
