"""A second opinion on a crystal by OVITO, which runs in a process of its own: structure, surface, volume, a picture."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError

WORKER = Path(__file__).with_name("inspection_worker.py")
HOW_TO_INSTALL = "install it with: pip install 'cdipipe[crystal]' (or: pip install ovito), or leave out check=true"
LIMIT_S = 600


def inspect_crystal(
    positions: np.ndarray, phase_rad: np.ndarray, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """What OVITO finds in a crystal.

    Parameters
    ----------
    positions : (N, 3) float, angstrom
    phase_rad : (N,) float, the colour of the atoms in the picture
    environment : variables put over those of this process; for tests

    Returns
    -------
    dict
        ``fcc_share`` and ``hcp_share`` of all atoms by polyhedral template matching (atoms of the surface match
        nothing), ``surface_nm2``, ``volume_nm3``; and ``picture``, (H, W, 3) uint8, where OVITO has a renderer: since
        version 3.13 that needs the Vulkan library with any driver, such as Mesa's.

    Raises
    ------
    InputError   OVITO is missing or failed; its own message is passed on
    """
    with tempfile.TemporaryDirectory() as folder:
        atoms, result, picture = (Path(folder) / name for name in ("atoms.npy", "result.json", "picture.png"))
        np.save(atoms, np.column_stack([positions, phase_rad]))
        said = _run([sys.executable, "-P", WORKER, atoms, result, picture], environment)
        try:
            found = json.loads(result.read_text())
        except (OSError, ValueError):
            raise InputError(f"scene crystal: OVITO failed: {said}") from None
        if "missing" in found:
            raise InputError(f"scene crystal: OVITO is not installed ({found['missing']}); {HOW_TO_INSTALL}")
        if "failed" in found:
            raise InputError(f"scene crystal: OVITO failed: {' '.join(found['failed'].split())}")
        if picture.exists():
            found["picture"] = _read_picture(picture)
    return found


def _run(command: list, environment: dict[str, str] | None) -> str:
    """Last line that the program wrote to stderr; its exit code does not matter where it left a result."""
    try:
        done = subprocess.run(
            [str(part) for part in command],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=LIMIT_S,
            env={**os.environ, "OMP_NUM_THREADS": "1", **(environment or {})},
        )
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT_S} s"
    lines = done.stderr.strip().splitlines()
    return lines[-1].strip() if lines else f"exit code {done.returncode}, no message"


def _read_picture(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))
