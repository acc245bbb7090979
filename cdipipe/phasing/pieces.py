"""A stack of independent patterns, phased in pieces that are kept, so that a run that was stopped goes on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from cdipipe.io.pieces import Pieces
from cdipipe.phasing.plan import Part
from cdipipe.phasing.result import join, stack_of
from cdipipe.phasing.runs import Runs
from cdipipe.phasing.starts import Start
from cdipipe.phasing.task import Task

PIECE_PIXELS = 2**22
"""Pixels of the patterns of a piece, about; 256 patterns of 128 x 128."""
MOST_PATTERNS = 1024


def is_independent(parts: list[Part], stack: str) -> bool:
    """Whether the patterns of a stack go through a recipe one by one, or in batches of a network."""
    return stack in ("shots", "movie") and all(part.kind in ("each", "predict") for part in parts)


def patterns_per_piece(task: Task, parts: list[Part]) -> int:
    """So many that all cores have work; whole batches of every network, as they would be without pieces."""
    fitting = PIECE_PIXELS // math.prod(task.measurement.pattern_shape)
    wanted = max(1, min(fitting, MOST_PATTERNS), 2 * torch.get_num_threads())
    batches = [part.recipe.batch or part.recipe.steps[0][1].batch for part in parts if part.kind == "predict"]
    together = math.lcm(*batches) if batches else 1
    return math.ceil(wanted / together) * together


def phase_in_pieces(
    phase: Callable[[Task, Start], list[Runs]],
    task: Task,
    start: Start,
    recipe: Any,
    pieces: Pieces,
    size: int,
    keep_runs: bool,
) -> dict[str, Any]:
    """Phase what is not kept yet, keep it, and put all pieces together.

    Parameters
    ----------
    phase : all parts of the recipe on some patterns
    size : patterns per piece
    keep_runs : whether runs of the same pattern are kept, too

    Returns
    -------
    Arguments of Reconstruction; arrays as large as the stack are mapped from files, not held in memory
    """
    pieces.begin(task.measurement.pattern_count, size)
    found = []
    for number, part in enumerate(pieces.ranges()):
        if not pieces.has(number):
            own = start.of_patterns(list(part), task.ndim)
            made = stack_of(phase(task.of(part), own), recipe, keep_runs, recipe.restarts)
            large = {"object": (0, made.pop("object")), "support": (0, made.pop("support"))}
            if (runs := made.pop("runs")) is not None:
                large["runs"] = (1, runs)
            scores = {f"score {name}": values for name, values in made["run_scores"].items()}
            pieces.keep(number, large, {"error_trace": made["error_trace"], **scores})
        small = pieces.small(number)
        scores = {name.removeprefix("score "): values for name, values in small.items() if name != "error_trace"}
        found.append({"error_trace": small["error_trace"], "run_scores": scores})
    return {**join(found), **_mapped(pieces, keep_runs)}


def _mapped(pieces: Pieces, keep_runs: bool) -> dict[str, Any]:
    runs: np.ndarray | None = None
    if keep_runs:
        runs = pieces.array("runs")
        runs = runs if len(runs) > 1 else None
    return {"object": pieces.array("object"), "support": pieces.array("support"), "runs": runs}
