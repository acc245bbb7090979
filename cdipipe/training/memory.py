"""What a step of a training holds in memory, counted on two samples before the first: a step that cannot be is refused.

A step holds what its forward pass keeps for its backward pass, which grows with the batch, and weights with their
gradients and moments. Less than it will use in fact: what is held only for a moment is not counted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

import torch

from cdipipe.errors import InputError
from cdipipe.io.memory import memory_limit_bytes
from cdipipe.networks.sizes import COPIES_IN_TRAINING

LOOKED_AT = 2
"""Samples whose forward pass is counted; batch norms take no single one."""


def limit_bytes(device: torch.device) -> int:
    """How much a training may use of the memory of a device."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else memory_limit_bytes()


def check_step(
    module: torch.nn.Module, forward: Callable[[], object], samples: int, count: int, limit: float, where: str
) -> None:
    """Raise InputError where a step does not fit into memory; the module stays as it is.

    Parameters
    ----------
    forward : the loss of ``samples`` samples
    samples : that ``forward`` takes
    count : samples of a step, of all processes that share the memory
    limit : of its bytes
    where : what is trained, for the message
    """
    own = {tensor.untyped_storage()._cdata for tensor in (*module.parameters(), *module.buffers())}
    need = float(COPIES_IN_TRAINING * sum(p.numel() * p.element_size() for p in module.parameters()))

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal need
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            own.add(storage._cdata)
            need += storage.nbytes() * count / samples
        if need > limit:
            raise InputError(
                f"{where}: a step of {count} samples needs more than the {limit / 2**30:.3g} GiB of memory that it may "
                "take (of a CPU's, CDIPIPE_MAX_GIB says how much); take a smaller batch_size or network"
            )
        return tensor

    with _unchanged(module), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        forward()


@contextlib.contextmanager
def _unchanged(module: torch.nn.Module) -> Iterator[None]:
    """Statistics, and torch's random numbers, are afterwards what they were."""
    before = [buffer.clone() for buffer in module.buffers()]
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            for buffer, values in zip(module.buffers(), before, strict=True):
                buffer.copy_(values)
