"""Checkpoints: weights, settings with the input scaling, and what they were trained on. Only plain data and tensors."""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.io.memory import check_bytes
from cdipipe.networks.checkpoint_content import check_content
from cdipipe.networks.registry import Network, get_network
from cdipipe.networks.sizes import check_fits, outline
from cdipipe.networks.training_settings import TrainingSettings
from cdipipe.settings import validate

FORMAT = "cdipipe checkpoint 1"


@dataclass(frozen=True)
class Checkpoint:
    """A trained network as a file has it.

    Parameters
    ----------
    network, settings : what it is and how it was trained; ``settings.network`` builds the module
    weights : name -> tensor, on the CPU
    corpus : ``kind``, ``digest``, ``count`` of what it was trained on
    scores : plain numbers by name, such as ``epoch`` and ``validation_loss``
    provenance : command, versions, digests
    training : what ``--resume`` needs; empty in a checkpoint that is only for use
    """

    network: Network
    settings: TrainingSettings
    weights: dict[str, torch.Tensor]
    corpus: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    def build(self) -> torch.nn.Module:
        """The module with its weights, in evaluation mode.

        Raises
        ------
        InputError   the weights are not those of such a module
        """
        module = self.network.build(self.settings.network)
        check_fits(module.state_dict(), self.weights, f"checkpoint of {self.network.name}")
        module.load_state_dict(self.weights)
        return module.eval()


def write_checkpoint(path: str | Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, whole or not at all.

    Parameters
    ----------
    path : file to write
    checkpoint : its weights are stored on the CPU

    Raises
    ------
    InputError, OSError   the place cannot be written, or the disk is full; nothing is left behind
    """
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.weights.items()}
    content = {
        "format": FORMAT,
        "network": checkpoint.network.name,
        "version": checkpoint.network.version,
        "settings": checkpoint.settings.model_dump(mode="json"),
        "weights": weights,
        "corpus": checkpoint.corpus,
        "scores": checkpoint.scores,
        "provenance": checkpoint.provenance,
        "training": checkpoint.training,
    }
    with atomic_path(path) as part:
        torch.save(content, part)


def read_checkpoint(path: str | Path, network: str | None = None) -> Checkpoint:
    """Read a checkpoint without running anything in it.

    Parameters
    ----------
    path : file that :func:`write_checkpoint` wrote
    network : the one wanted; None: any

    Raises
    ------
    InputError   not a checkpoint of ours, truncated, with pickled code, or of another network or version
    """
    content = _load(Path(path))
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{path}: not a checkpoint of cdipipe; expected a file that `cdipipe train` wrote")
    check_content(content, str(path))
    if network is not None and content["network"] != network:
        raise InputError(f"{path}: a checkpoint of '{content['network']}'; expected one of '{network}'")
    known = get_network(content["network"], str(path))
    if content["version"] != known.version:
        raise InputError(
            f"{path}: made for version {content['version']} of {known.name}; expected version {known.version}; "
            "train it again"
        )
    settings = validate(known.settings, content["settings"], f"{path}: settings")
    check_fits(outline(known, settings.network, str(path)), content["weights"], str(path))
    weights = {
        name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in content["weights"].items()
    }
    rest = {name: content[name] for name in ("corpus", "scores", "provenance", "training")}
    return Checkpoint(known, settings, weights, **rest)


def _load(path: Path) -> Any:
    if not path.exists():
        raise InputError(f"{path}: no such checkpoint")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise InputError(f"{path}: not a checkpoint, or cut short; expected a file that `cdipipe train` wrote")
    try:
        with zipfile.ZipFile(path) as archive:
            check_bytes(sum(member.file_size for member in archive.infolist()), f"{path}: unpacked")
            if (damaged := archive.testzip()) is not None:  # torch does not look at the checksums
                raise ValueError(f"the checksum of {Path(damaged).name} does not fit")
        return torch.load(path, map_location="cpu", weights_only=True)
    except InputError:
        raise
    except pickle.UnpicklingError:
        raise InputError(f"{path}: holds pickled code, which is never run; expected plain data and tensors") from None
    except Exception as error:  # what a damaged pickle raises is anything
        raise InputError(
            f"{path}: damaged or cut short ({(str(error) or 'no content').splitlines()[0][:80]})"
        ) from None
