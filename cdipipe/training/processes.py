"""One or several processes through Lightning Fabric: devices, and who speaks."""

from __future__ import annotations

import math
import os

import torch

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.networks.training_settings import TrainingSettings
from cdipipe.progress import Progress


def make_fabric(settings: TrainingSettings, device: str = "cpu", devices: int = 1, nodes: int = 1):
    """Lightning Fabric for these devices; call ``launch()`` on it before :func:`fit`.

    Several processes are started by it, or it joins those that torchrun or SLURM started.

    Parameters
    ----------
    settings : of the training; its precision counts: ``auto`` is bf16 on GPUs, 32 bits elsewhere
    device : ``cpu`` or ``cuda``
    devices : processes on each node, on ``cuda`` one for each GPU
    nodes : computers

    Returns
    -------
    lightning_fabric.Fabric

    Raises
    ------
    InputError   more GPUs are asked for than there are
    """
    fabric = extras.load("lightning_fabric", "training")
    available = torch.cuda.device_count()
    if device == "cuda" and devices > available:
        raise InputError(f"--devices {devices}: there are {available} GPUs here; each process takes one")
    bf16 = settings.precision == "bf16" or (settings.precision == "auto" and device == "cuda")
    several = devices * nodes > 1
    return fabric.Fabric(
        accelerator="cuda" if device == "cuda" else "cpu",
        devices=devices,
        num_nodes=nodes,
        strategy="ddp" if several else "auto",
        precision="bf16-mixed" if bf16 else "32-true",
        plugins=_own_processes() if several and nodes == 1 and os.environ.get("SLURM_NTASKS") == "1" else None,
    )


def _own_processes():
    """Fabric starts the processes: a SLURM job of one task, as the workflow's are, has several devices all the same."""
    from lightning_fabric.plugins.environments import LightningEnvironment

    return LightningEnvironment()


class Silent(Progress):
    """Counts, says nothing: for all processes but the first."""

    def __enter__(self):
        self.last_line = math.inf
        return self
