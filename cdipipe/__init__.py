"""Coherent diffraction imaging, from photon counts to pictures."""

import os
from typing import TYPE_CHECKING

# Threads that wait for each other (libgomp, in torch and our kernels) spin so many rounds, a tenth of a millisecond,
# before they sleep. By default it is ten times that: on a busy machine they burn what the others would need.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "30000")

__version__ = "0.2.0"

if TYPE_CHECKING:
    from cdipipe.api import evaluate, load, plot, reconstruct, save, simulate
    from cdipipe.errors import InputError

__all__ = ["InputError", "__version__", "evaluate", "load", "plot", "reconstruct", "save", "simulate"]


def __getattr__(name: str) -> object:
    """Import what a name stands for when it is first used: ``import cdipipe`` alone loads nothing."""
    import importlib

    if name not in __all__:
        raise AttributeError(f"module 'cdipipe' has no attribute '{name}'; it has {', '.join(__all__)}")
    found = getattr(importlib.import_module("cdipipe.errors" if name == "InputError" else "cdipipe.api"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return __all__
