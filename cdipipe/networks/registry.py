"""What a network is, and how networks are found.

A network is a package in ``cdipipe/networks`` with an attribute ``NETWORK``, or an entry point of the group
``cdipipe.networks``, see ``cdipipe.plugins``: nothing here lists names. Its ``__init__.py`` imports no torch at module
level, so that a configuration is validated without it; the modules themselves stand in files beside.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cdipipe.networks
from cdipipe.networks.training_settings import TrainingSettings
from cdipipe.plugins import Registry, in_modules
from cdipipe.settings import Parameters

if TYPE_CHECKING:
    import torch

    from cdipipe.io.corpus.plan import Plan

    Tensors = dict[str, torch.Tensor]
    LossTerms = tuple[torch.Tensor, Tensors]


@dataclass(frozen=True)
class Stage:
    """One part of a training: what moves, and what is lowered.

    Parameters
    ----------
    name : shown in the curve
    loss : ``(module, batch, settings) -> (loss, terms)``
        ``batch`` is what ``Network.prepare`` made. ``terms`` are scalars without gradient, for the curve. Call the
        module itself, not its parts, so that several processes keep in step.
    parts : prefixes of the names of the parameters that are trained; empty: all. The others stay as they are.
    epochs : of this stage; None: ``settings.epochs``
    """

    name: str
    loss: Callable[[torch.nn.Module, Tensors, Any], LossTerms]
    parts: tuple[str, ...] = ()
    epochs: int | None = None


@dataclass(frozen=True)
class Network:
    """One network and how it is trained.

    Parameters
    ----------
    name, summary, reference : str
        What it is and who described it.
    version : raised when weights of before no longer fit or no longer mean the same
    settings : subclass of TrainingSettings
        Its field ``network`` holds what the module is built from, input scaling included: all that a checkpoint needs
        to be used. The rest says how to train.
    build : ``(network_settings) -> torch.nn.Module``
    prepare : ``(arrays, settings, generator) -> batch``
        Arrays of a corpus (name -> (B, ...) tensor, on the device) to ``inputs`` (B, ...) and labels. ``generator`` is
        for noise drawn anew; it belongs to this batch alone.
    stages : ``(settings) -> tuple of Stage``
    apply : ``(module, network_settings, intensity, measured) -> objects``
        Inference: (B, *grid) float32 photons and bool, centred, to (B, *grid) complex64 objects on any scale.
    arrays : names of the arrays of a corpus that ``prepare`` reads
    check_corpus : ``(plan, settings) -> None``, raises InputError where the network cannot learn from such a corpus
    dimensions : 2 or 3, of the patterns; None: its checkpoint tells
    parameters : subclass of ``cdipipe.networks.prediction.PredictionParameters``
        What a reconstruction takes: the network is a method of its name. None: it takes no patterns.
    predict : ``(parameters, pattern_shape, device) -> predictor``
        ``predictor(intensity, measured) -> (objects, supports)`` of a batch (B, *grid), float32 photons and bool to
        complex64 on any scale and bool, all centred. None: by ``apply``, on patterns that are resampled to the
        ``size`` of the network's settings, see :class:`cdipipe.networks.predictor.Predictor`.
    weights : checkpoint that comes with the network, described in a ``.md`` beside it; None: it has to be trained
    other_weights : more of them, between which its parameters choose
    """

    name: str
    summary: str
    reference: str
    version: int
    settings: type[TrainingSettings]
    build: Callable[[Any], torch.nn.Module]
    prepare: Callable[[Tensors, Any, torch.Generator], Tensors]
    stages: Callable[[Any], tuple[Stage, ...]]
    apply: Callable[[torch.nn.Module, Any, torch.Tensor, torch.Tensor], torch.Tensor] | None = None
    arrays: tuple[str, ...] = ("intensity", "object", "measured")
    check_corpus: Callable[[Plan, Any], None] | None = None
    dimensions: int | None = 2
    parameters: type[Parameters] | None = None
    predict: Callable[[Any, tuple[int, ...], Any], Any] | None = None
    weights: Path | None = None
    other_weights: tuple[Path, ...] = ()


NETWORKS = Registry("network", "cdipipe.networks", Network, in_modules(cdipipe.networks, "NETWORK", packages_only=True))


def all_networks() -> dict[str, Network]:
    """Every network by name; those of this package in alphabetical order, then those of others."""
    return NETWORKS.all()


def get_network(name: str, where: str = "") -> Network:
    """The network of a name.

    Parameters
    ----------
    name : see ``cdipipe networks``
    where : what names it, for the message

    Raises
    ------
    InputError   there is none; the message lists the known ones
    """
    return NETWORKS.get(name, where)
