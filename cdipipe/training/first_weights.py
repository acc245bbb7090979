"""The weights that a training begins with, and which of them move in a stage."""

from __future__ import annotations

import logging

import torch

from cdipipe.errors import InputError
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.registry import Network, Stage
from cdipipe.networks.training_settings import TrainingSettings

logger = logging.getLogger("cdipipe")


def build_module(network: Network, settings: TrainingSettings) -> torch.nn.Module:
    """The module with weights from torch's generator, or, where ``start_from`` has them, those of a checkpoint.

    Raises
    ------
    InputError   the checkpoint is none of this network, or none of its weights fits
    """
    module = network.build(settings.network)
    if settings.start_from is not None:
        found, mine = read_checkpoint(settings.start_from, network.name).weights, module.state_dict()
        fitting = {name: tensor for name, tensor in found.items() if name in mine and mine[name].shape == tensor.shape}
        if not fitting:
            raise InputError(f"{settings.start_from}: none of its weights fits the network that the settings ask for")
        logger.info("%d of %d tensors from %s", len(fitting), len(mine), settings.start_from)
        module.load_state_dict(fitting, strict=False)
    return module


def choose_parameters(module: torch.nn.Module, stage: Stage) -> list[tuple[str, torch.nn.Parameter]]:
    """Let the stage's parameters move and hold all others."""
    named = []
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(not stage.parts or name.startswith(stage.parts))
        parameter.grad = None
        if parameter.requires_grad:
            named.append((name, parameter))
    return named
