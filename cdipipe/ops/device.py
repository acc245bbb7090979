"""Where computations run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cdipipe.errors import InputError


def choose_device(name: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes the GPU when there is one.

    Parameters
    ----------
    name : ``auto``, ``cpu`` or ``cuda``

    Raises
    ------
    InputError   an unknown name, or a GPU that is not there
    """
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise InputError(f"device {name}: expected auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: no usable NVIDIA GPU here; try cpu")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"


@contextmanager
def lack_of_memory_explained(explain: Callable[[], str]) -> Iterator[None]:
    """One line that says what to lower, instead of the allocator's complaint.

    Parameters
    ----------
    explain : gives the line; called where memory ran out

    Raises
    ------
    InputError   memory ran out; other errors pass
    """
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if "memory" not in f"{type(error).__name__} {error}".lower():
            raise
        raise InputError(explain()) from error
