"""How large a network is, known before anything of it is allocated: modules are built without memory first."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from cdipipe.errors import InputError
from cdipipe.io.memory import check_bytes
from cdipipe.networks.registry import Network
from cdipipe.networks.training_settings import NetworkSettings

COPIES_IN_TRAINING = 4
"""Weights, their gradient, and two moments of each."""


def outline(network: Network, settings: NetworkSettings, where: str) -> dict[str, torch.Tensor]:
    """Name and shape of every tensor of a module, without its numbers.

    Raises
    ------
    InputError   no module has such sizes
    """
    try:
        with torch.device("meta"):
            return network.build(settings).state_dict()
    except (RuntimeError, OverflowError, MemoryError, ValueError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(f"{where}: a network of these sizes cannot be built ({reason})") from None


def check_module(network: Network, settings: NetworkSettings, where: str, copies: int = COPIES_IN_TRAINING) -> None:
    """Raise InputError where a network does not fit into memory.

    Parameters
    ----------
    copies : how many times its weights are held; as many as a training does, unless given
    """
    need = sum(t.numel() * t.element_size() for t in outline(network, settings, where).values())
    check_bytes(need * copies, f"{where}: a network of {need // 4:.3g} weights", "take smaller widths")


def check_fits(module: Mapping[str, torch.Tensor], weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Raise InputError where weights are not those of a module.

    Parameters
    ----------
    module : its tensors by name, or their outline
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in module.items()}
    found = {name: tuple(tensor.shape) for name, tensor in weights.items()}
    if wanted != found:
        odd = sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name))
        raise InputError(f"{where}: weights do not fit the settings, first '{odd[0]}'")
