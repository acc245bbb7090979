"""Iterations of small batches on a GPU as CUDA graphs: launched as a whole, not operation by operation.

Launching an operation takes the processor several microseconds, which is longer than a GPU works on a small array.

Environment
-----------
CDIPIPE_CUDA_GRAPHS=1|0
    0: every operation is launched by itself. Default: 1.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import torch
from torch import Tensor

from cdipipe.errors import InputError

VARIABLE = "CDIPIPE_CUDA_GRAPHS"
MOST_PIXELS = 2**20
"""Pixels of all items of a batch that goes as a graph: an operation on more takes a GPU longer than its launch."""
LEAST_CALLS = 20
"""Fewer calls are not worth a graph, whose making waits for the GPU and empties the cache of its memory."""
FIRST = 2
"""Calls that are launched as they are, so that plans, workspaces and whatever is kept for later are there."""

logger = logging.getLogger(__name__)
_refusal: str | None = None


def are_wanted() -> bool:
    """What the environment says.

    Raises
    ------
    InputError   neither 0 nor 1
    """
    asked = os.environ.get(VARIABLE) or "1"
    if asked not in ("0", "1"):
        raise InputError(f"{VARIABLE}: got '{asked}'; allowed: 0, 1")
    return asked == "1"


def pay(batch: Tensor, calls: int) -> bool:
    """Whether a function that is called again and again with a batch is worth a :class:`Replayed`, and may be one.

    Parameters
    ----------
    batch : (B, *grid)
    calls : how many there will be
    """
    small = batch.is_cuda and batch.numel() <= MOST_PIXELS and calls >= LEAST_CALLS
    return small and _refusal is None and are_wanted()


class Replayed:
    """A function as a CUDA graph from its third call on.

    What it returns is overwritten by the next call. A capture that fails is told once, and no other one is tried.

    Parameters
    ----------
    function : ``(batch, *others) -> tensors``
        It may change the batch, and nothing else that was there before. It does the same at every call: it waits for
        nothing, uploads nothing and draws no random numbers.
    """

    def __init__(self, function: Callable):
        self._function, self._calls = function, 0
        self._graph: torch.cuda.CUDAGraph | None = None
        self._own: tuple[Tensor, ...] = ()
        self._copied: tuple[Tensor, ...] = ()
        self._outputs: tuple[Tensor, ...] = ()

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Tensors that the function returns; the first of the given ones is changed as the function changes it."""
        self._calls += 1
        if self._graph is None and (self._calls <= FIRST or _refusal is not None or not self._capture(tensors)):
            return self._function(*tensors)
        for own, copied, given in zip(self._own, self._copied, tensors, strict=True):
            if given is not copied:
                own.copy_(given)
        self._copied = (self._own[0], *tensors[1:])
        self._graph.replay()
        return self._outputs

    def _capture(self, tensors: tuple[Tensor, ...]) -> bool:
        """Record what the function launches; nothing is computed. False: it cannot be recorded."""
        global _refusal
        batch, *others = tensors
        own = (batch, *(other.clone() for other in others))  # given ones belong to somebody else
        graph, before = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        side = torch.cuda.Stream(batch.device)  # torch's own is of the GPU that came first
        try:
            with torch.cuda.graph(graph, stream=side, capture_error_mode="thread_local"):
                outputs = self._function(*own)
        except RuntimeError as error:
            torch.cuda.set_stream(before)  # a failed capture may leave its own one behind
            _refusal = " ".join(str(error).split())[:200]
            logger.warning("CUDA graphs are not used: %s", _refusal)
            return False
        self._graph, self._own, self._copied, self._outputs = graph, own, (batch, *others), outputs
        return True
