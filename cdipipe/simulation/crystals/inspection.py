"""A second opinion on a crystal by OVITO, which runs in a process of its own: structure, defects, strain, surface."""

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
from cdipipe.simulation.crystals.shapes import LATTICE_CONSTANT_A

WORKER = Path(__file__).with_name("inspection_worker.py")
HOW_TO_INSTALL = "install it with: pip install 'cdipipe[crystal]' (or: pip install ovito), or leave out check=true"
LIMIT_S = 600
NUMBERS = ("fcc_share", "hcp_share", "surface_nm2", "volume_nm3", "dislocations_nm", "partials_nm")
TENSORS = ("elastic_strain", "elastic_strain_spread")


PICTURE_PX = 200
VIEW_FROM = (2, 3, -1.5)
ATOM_A = 1.44
"""Half the distance of neighbours in gold."""
STRUCTURE_COLOURS = {0: (0.75, 0.75, 0.75), 2: (0.1, 0.1, 0.1)}
"""Grey: atoms that match no lattice, such as those of the surface; black: hcp, which is what stacking faults are."""


def inspect_crystal(
    positions: np.ndarray, phase_rad: np.ndarray, environment: dict[str, str] | None = None
) -> dict[str, Any]:
    """What OVITO finds in a crystal.

    Parameters
    ----------
    positions : (N, 3) float, angstrom
    phase_rad : (N,) float, the colour of the fcc atoms in the picture
    environment : variables put over those of this process; for tests

    Returns
    -------
    dict
        ``fcc_share`` and ``hcp_share`` of all atoms by polyhedral template matching (atoms of the surface match
        nothing), ``surface_nm2``, ``volume_nm3``; ``dislocations_nm``, the length of all, and ``partials_nm``;
        ``elastic_strain`` and ``elastic_strain_spread``, (6,), mean and standard deviation of xx, yy, zz, xy, xz, yz
        over the fcc atoms, against the lattice constant of the potential; ``picture``, (200, 200, 3) uint8, a cut.

    Raises
    ------
    InputError   OVITO is missing or failed; its own message is passed on
    """
    with tempfile.TemporaryDirectory() as folder:
        atoms, result, types = (Path(folder) / name for name in ("atoms.npy", "result.json", "types.npy"))
        np.save(atoms, positions)
        command = [sys.executable, "-P", WORKER, atoms, result, types, LATTICE_CONSTANT_A]
        said = _run(command, environment)
        try:
            found = json.loads(result.read_text())
        except (OSError, ValueError):
            raise InputError(f"scene crystal: OVITO failed: {said}") from None
        if "missing" in found:
            raise InputError(f"scene crystal: OVITO is not installed ({found['missing']}); {HOW_TO_INSTALL}")
        if "failed" in found:
            raise InputError(f"scene crystal: OVITO failed: {' '.join(found['failed'].split())}")
        kinds = np.load(types)
    for name in TENSORS:
        found[name] = np.array(found[name], float)
    return found | {"picture": draw_cut(positions, phase_rad, kinds)}


def nothing_inspected() -> dict[str, Any]:
    """What :func:`inspect_crystal` would give, of a crystal that it did not see: NaN, and a black picture."""
    numbers = dict.fromkeys(NUMBERS, float("nan"))
    tensors = {name: np.full(6, np.nan) for name in TENSORS}
    return numbers | tensors | {"picture": np.zeros((PICTURE_PX, PICTURE_PX, 3), np.uint8)}


def draw_cut(positions: np.ndarray, phase_rad: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """The half of a crystal behind a plane through its middle: fcc atoms coloured by phase, others by structure."""
    away = -np.array(VIEW_FROM) / np.linalg.norm(VIEW_FROM)
    right = np.cross(away, (0, 0, 1)) / np.linalg.norm(np.cross(away, (0, 0, 1)))
    x, y, depth = ((positions - positions.mean(axis=0)) @ np.stack([right, np.cross(right, away), -away]).T).T
    scale = 0.45 * PICTURE_PX / (np.hypot(x, y).max() + ATOM_A)
    colours = 0.5 + 0.45 * np.cos(phase_rad[:, None] + np.array([0, 2, 4]) * np.pi / 3)
    for kind, colour in STRUCTURE_COLOURS.items():
        colours[kinds == kind] = colour
    picture = np.ones((PICTURE_PX, PICTURE_PX, 3))
    reach = int(np.ceil(ATOM_A * scale))
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = np.hypot(rows, columns) <= ATOM_A * scale
    shade = np.sqrt(np.clip(1 - (rows**2 + columns**2)[disc] / (ATOM_A * scale + 1) ** 2, 0.2, 1))[:, None]
    behind = np.flatnonzero(depth <= 0)
    for atom in behind[np.argsort(depth[behind])]:
        row = int(PICTURE_PX / 2 - y[atom] * scale) + rows[disc]
        column = int(PICTURE_PX / 2 + x[atom] * scale) + columns[disc]
        picture[row, column] = colours[atom] * shade
    return np.rint(255 * picture).astype(np.uint8)


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
