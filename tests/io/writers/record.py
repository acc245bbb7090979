"""Small files as detectors, beamlines and programs of the field write them, each with the same frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

SHAPE = (12, 20, 24)


def made_up_frames(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Photon counts, every frame different, brightest in the middle."""
    rng = np.random.default_rng(0)
    y, x = np.ogrid[: shape[1], : shape[2]]
    peak = np.exp(-((y - shape[1] // 2) ** 2 + (x - shape[2] // 2) ** 2) / 16.0)
    return rng.poisson(200 * peak + 0.5, shape).astype(np.uint16)


def bad_pixels(shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Rows that a mask beside the data calls bad."""
    bad = np.zeros(shape[1:], np.uint32)
    bad[3:5] = 1
    return bad


@dataclass(frozen=True)
class Written:
    """What a writer left: files to import, options that are needed, and what is to come out.

    Parameters
    ----------
    main : the file in which everything begins, which damage is done to
    bad : (H, W) pixels that must not be trusted
    absent : numbers of the frames that are nowhere
    """

    names: list[str]
    main: Path
    options: dict[str, Any] = field(default_factory=dict)
    frames: np.ndarray | None = None
    bad: np.ndarray | None = None
    absent: tuple[int, ...] = ()


Writer = Callable[[Path, np.ndarray], Written]
WRITERS: dict[str, Writer] = {}


def writer(function: Writer) -> Writer:
    WRITERS[function.__name__] = function
    return function


def one(path: Path, key: str = "", **rest: Any) -> Written:
    return Written([f"{path}::{key}" if key else str(path)], path, **rest)
