"""``cdipipe doctor``: what is installed, built and usable here."""

from __future__ import annotations

import importlib
import json
import os
import platform
from importlib import metadata
from typing import Annotated, Any

import typer

from cdipipe.errors import InputError
from cdipipe.extras import EXTRAS, install_command

REQUIRED = ("torch", "numpy", "scipy", "h5py", "hdf5plugin", "pydantic", "yaml", "typer", "tqdm", "skimage")
REQUIRED += ("matplotlib", "fabio", "tifffile", "pooch", "jinja2")
DISTRIBUTIONS = {"yaml": "pyyaml", "skimage": "scikit-image", "lightning_fabric": "lightning-fabric", "zmq": "pyzmq"}

LOST = "not used as it could be"
"""Of what says `_gpu`: GPUs, or kernels for them, that a command would bring to work."""
TRIED = "the CUDA half has not run on a GPU yet; python benchmarks/gpu.py --all tries it"
"""Until benchmarks/results/gpu.json is there."""


def command(
    as_json: Annotated[bool, typer.Option("--json", help="print as JSON")] = False,
    count_gpus: Annotated[bool, typer.Option("--gpus", help="only how many jobs can have a GPU, at least 1")] = False,
) -> None:
    """Show versions, kernels, devices, folders and extras; exit 0 if everything needed is usable.

    A GPU that is there and not used is a problem, too, and named with its cure; all works without it.
    """
    if count_gpus:
        from cdipipe.ops.gpus import facts as gpu_facts

        print(max(1, len(gpu_facts().usable())))
        return
    facts = examine()
    print(json.dumps(facts, indent=2, default=str) if as_json else "\n".join(_lines(facts)))
    broken = [problem for problem in facts["problems"] if problem not in facts["gpu"].get(LOST, ())]
    if broken:
        raise InputError("not usable: " + "; ".join(broken))


def _version(module: str) -> str | None:
    try:
        return metadata.version(DISTRIBUTIONS.get(module, module))
    except metadata.PackageNotFoundError:
        return None


def _problem(module: str) -> str | None:
    try:
        importlib.import_module(module)
    except Exception as error:  # a broken installation may raise anything
        return f"{module} cannot be imported ({type(error).__name__}: {' '.join(str(error).split())[:120]})"
    return None


def _kernels() -> dict[str, Any]:
    from cdipipe.ops import backend, fft

    transforms = "MKL of PyTorch, plans kept" if fft.has_plans() else "torch.fft"
    return {**backend.describe(), "cpu_uses": backend.name("cpu"), "fourier_transforms": transforms}


def _devices() -> dict[str, Any]:
    import torch

    facts: dict[str, Any] = {"cpu_cores": os.cpu_count(), "torch_threads": torch.get_num_threads()}
    facts["OMP_NUM_THREADS"] = os.environ.get("OMP_NUM_THREADS")
    return facts


def _gpu() -> dict[str, Any]:
    """GPUs, what ``auto`` takes and why, and what is wrong with those that could work."""
    from cdipipe.ops import gpu_faults, gpus, graphs
    from cdipipe.ops.device import resolve_device

    found = gpus.facts()
    device, _ = resolve_device("auto")
    faults = [fault for fault in (gpu_faults.why_not(found), gpu_faults.why_no_kernels(found)) if fault]
    return {
        "gpus": [str(gpu) for gpu in found.usable()],
        "driver": found.driver,
        "torch was built with CUDA": found.torch_cuda,
        "device auto takes": device,
        "why no GPU": str(faults[0]) if faults and gpu_faults.why_not(found) else None,
        f"CUDA graphs ({graphs.VARIABLE})": "for small batches" if graphs.are_wanted() else "off",
        "tried": TRIED,
        LOST: [str(fault) for fault in faults if fault.lost],
    }


def _folders() -> dict[str, Any]:
    from cdipipe.io.datasets import DATASETS, cache_folder, dataset_folder
    from cdipipe.io.datasets.archives import IMAGE_ARCHIVES, images_folder
    from cdipipe.networks.registry import all_networks

    facts: dict[str, Any] = {"cache (CDIPIPE_CACHE)": str(cache_folder())}
    facts["measured data (CDIPIPE_DATA_DIR)"] = os.environ.get("CDIPIPE_DATA_DIR") or "not set"
    come_along = [name for name, network in all_networks().items() if network.weights is not None]
    facts["weights that come along"] = ", ".join(come_along) or "none"
    for name in (*DATASETS, *IMAGE_ARCHIVES):
        folder = dataset_folder(name) if name in DATASETS else images_folder(name)
        facts[name] = str(folder) if folder.is_dir() else f"not here; cdipipe fetch {name}"
    return facts


def _extras() -> dict[str, str]:
    found = {module: _version(module) for module in EXTRAS}
    return {module: version or f"not installed; {install_command(module)}" for module, version in found.items()}


def examine() -> dict[str, Any]:
    """All facts as plain data; ``problems`` lists what is needed and does not work."""
    import cdipipe

    problems = [problem for module in REQUIRED if (problem := _problem(module))]
    parts = {"kernels": _kernels, "devices": _devices, "gpu": _gpu, "folders": _folders, "extras": _extras}
    facts: dict[str, Any] = {
        "cdipipe": cdipipe.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {module: _version(module) for module in REQUIRED},
    }
    for name, gather in parts.items():
        try:
            facts[name] = gather()
        except Exception as error:  # a report of what is broken must not break itself
            problems.append(f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:160]}")
    facts.setdefault("gpu", {})
    return {**facts, "problems": problems + facts["gpu"].get(LOST, [])}


def _lines(facts: dict[str, Any]) -> list[str]:
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            lines.append(f"{name}:")
            lines += [f"  {key}: {_text(part)}" for key, part in value.items()]
        else:
            lines.append(f"{name}: {_text(value)}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
