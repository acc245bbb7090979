"""An installed wheel, tried from outside the checkout: ``tools/try_wheel.sh`` copies this file and runs it.

It needs pytest and cdipipe, nothing of this repository and no extra.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.installed
ROOMS_OF_EXTRAS = ("cdipipe.live.page.",)
WEAK = ("--set", "phase_range_rad=1", "--set", "photons=1e6")
WORKERS = ("cdipipe.simulation.crystals.worker", "cdipipe.simulation.crystals.inspection_worker")
"""Scripts of processes of their own; they need LAMMPS and OVITO."""


def cdipipe(*words: str, **environment: str) -> subprocess.CompletedProcess:
    program = Path(sys.executable).with_name("cdipipe")
    return subprocess.run([program, *words], capture_output=True, text=True, env={**os.environ, **environment})


def succeeds(*words: str, **environment: str) -> str:
    done = cdipipe(*words, **environment)
    assert done.returncode == 0, f"cdipipe {' '.join(words)}: {done.stderr}"
    return done.stdout


def test_it_is_the_installed_one_with_its_kernels():
    import cdipipe as package

    assert "site-packages" in package.__file__
    facts = json.loads(succeeds("doctor", "--json"))
    assert facts["problems"] == [] and facts["kernels"]["native_built"] is True
    assert package.__version__ == facts["cdipipe"]


def test_every_module_comes_without_extras():
    import cdipipe as package

    names = [module.name for module in pkgutil.walk_packages(package.__path__, "cdipipe.")]
    assert len(names) > 300
    from cdipipe.extras import EXTRAS

    for name in names:
        if name not in WORKERS:
            try:
                importlib.import_module(name)
            except ModuleNotFoundError as error:  # a room of an extra, entered by its command alone
                assert name.startswith(ROOMS_OF_EXTRAS) and error.name.partition(".")[0] in EXTRAS, (name, error)


def test_counts_become_a_picture_with_every_instruction_set(tmp_path):
    os.chdir(tmp_path)
    succeeds("simulate", "polygons", "-o", "M.cxi", "--truth", "T.cxi", "--seed", "1", "--set", "size=64", *WEAK)
    allowed = cdipipe("doctor", CDIPIPE_SIMD="none").stderr + cdipipe("doctor", CDIPIPE_SIMD="none").stdout
    levels = [level for level in ("baseline", "avx2", "avx512") if level in allowed]
    assert levels
    for level in levels:
        out = f"R_{level}.cxi"
        succeeds("reconstruct", "M.cxi", "-m", "raar", "-o", out, "--restarts", "8", "--seed", "1", CDIPIPE_SIMD=level)
        succeeds("evaluate", out, "--measurement", "M.cxi", "--truth", "T.cxi", "-o", f"{level}.json")
        assert json.loads(Path(f"{level}.json").read_text())["complex_correlation"] > 0.9, level
    succeeds("plot", out, "--measurement", "M.cxi", "--truth", "T.cxi", "-o", "R.png")
    succeeds("export", out, "-o", "R.npz")
    assert Path("R.png").stat().st_size > 10_000 and np.load("R.npz")["amplitude"].ndim == 2


def test_shipped_weights_beamlines_and_pages_are_there(tmp_path):
    os.chdir(tmp_path)
    succeeds("simulate", "polygons", "-o", "M.cxi", "--seed", "2", "--set", "size=32")
    succeeds("reconstruct", "M.cxi", "-m", "cdi_nn", "-o", "R.cxi")
    assert "aps_34idc" in succeeds("beamlines")
    assert "cdi_nn_3d" in succeeds("networks")


def test_what_needs_an_extra_names_it(tmp_path):
    done = cdipipe("corpus", "pseudo_objects", "-o", str(tmp_path / "corpus"), "--count", "2")
    assert done.returncode == 2 and "pip install 'cdipipe[train]'" in done.stderr
