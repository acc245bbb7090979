"""Where computations run."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cdipipe.errors import InputError
from cdipipe.ops import gpu_claims, gpu_faults, gpus

DEVICES = ("auto", "cpu", "cuda")
VARIABLE = "CDIPIPE_DEVICE"
"""What ``auto`` means, for a whole session or a run of a study."""


def resolve_device(name: str) -> tuple[str, gpu_faults.Fault | None]:
    """``cpu`` or ``cuda`` as the facts tell, without loading torch where there is no GPU; and why not ``cuda``.

    Parameters
    ----------
    name : ``auto``, ``cpu`` or ``cuda``; ``auto`` is first what ``CDIPIPE_DEVICE`` says

    Raises
    ------
    InputError   an unknown name
    """
    if name == "auto":
        name, where = os.environ.get(VARIABLE) or "auto", VARIABLE
    else:
        where = "device"
    if name not in DEVICES:
        raise InputError(f"{where} {name}: expected {', '.join(DEVICES[:-1])} or {DEVICES[-1]}")
    if name == "cpu":
        return "cpu", None
    fault = gpu_faults.why_not(gpus.facts())
    return ("cuda" if name == "cuda" or fault is None else "cpu"), fault


def choose_device(name: str, count: int = 1) -> str:
    """``cpu`` or ``cuda``; ``auto`` takes a GPU that can be used, and says what is wrong with one that cannot.

    GPUs are claimed for as long as the process lives, free ones first.

    Parameters
    ----------
    name : ``auto``, ``cpu`` or ``cuda``
    count : GPUs that are needed

    Raises
    ------
    InputError   an unknown name, or ``cuda`` where no GPU can be used, or fewer than ``count``
    """
    device, fault = resolve_device(name)
    asked = "cuda" in (name, os.environ.get(VARIABLE) if name == "auto" else "")
    if device == "cuda" and fault is None:
        there = gpus.facts().usable()
        if count > len(there):
            raise InputError(f"device cuda: {count} GPUs are needed; there are {len(there)} GPUs here")
        gpu_claims.claim(_in_use(there) or there, count)
        fault = _torch_objects()
    if fault is None:
        return device
    if asked:
        raise InputError(f"device cuda: no usable NVIDIA GPU here: {fault.reason}; {fault.cure}, or take cpu")
    if fault.lost:
        print(f"cdipipe: device auto is the CPU: {fault.reason} (`cdipipe doctor`)", file=sys.stderr, flush=True)
    return "cpu"


def _in_use(there: tuple[gpus.Gpu, ...]) -> tuple[gpus.Gpu, ...]:
    """The GPU of a program that computes on one already, which cannot be given another."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return ()
    return there[torch.cuda.current_device() :][:1]


def _torch_objects() -> gpu_faults.Fault | None:
    """What torch has against the GPU, though the facts are fine."""
    import torch

    if torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()
        reason = "torch.cuda.is_available() says no"
    except Exception as error:
        reason = f"torch cannot use the GPU: {' '.join(str(error).split())[:160]}"
    return gpu_faults.Fault(reason, "python -c 'import torch; torch.cuda.init()' tells more")


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
