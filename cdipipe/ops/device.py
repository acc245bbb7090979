"""Where computations run."""

from __future__ import annotations

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
