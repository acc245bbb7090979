"""What an edit of the code runs again: in a copy of the package, on a study that is finished up to its metrics."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import cdipipe

ROOT = Path(__file__).parents[2]
STUDY = {
    "output": "out",
    "measurements": {
        "alone": {"scene": "polygons", "set": {"size": 32, "photons": 1e5}, "uncertainty": False},
        "beside": {"scene": "static_region", "set": {"size": 32, "sample_photons_per_pixel": 10}, "uncertainty": False},
    },
    "methods": {"er": {"method": "er", "iterations": 5}, "lsq": {"method": "reference_lsq"}},
    "reconstructions": [
        {"measurements": ["alone"], "methods": ["er"]},
        {"measurements": ["beside"], "methods": ["er", "lsq"]},
    ],
    "keep_runs": False,
}
USE_THE_COPY = """import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Redirecting" not in type(finder).__name__]
"""
"""An editable install finds its package before PYTHONPATH does."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder with a copy of package and workflow in ``code`` and a study whose metrics are collected."""
    folder = tmp_path_factory.mktemp("edited")
    code = folder / "code"
    shutil.copytree(Path(cdipipe.__file__).parent, code / "cdipipe", ignore=shutil.ignore_patterns("__pycache__"))
    if compiled := compiled_module():
        shutil.copy(compiled, code / "cdipipe" / compiled.name)
    shutil.copytree(ROOT / "workflow", code / "workflow")
    shutil.copy(ROOT / "Snakefile", code)
    (code / "sitecustomize.py").write_text(USE_THE_COPY)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY, sort_keys=False))
    text = snakemake(folder, "out/summary.tsv")
    assert "8 of 8 steps" in text, text
    assert jobs_to_run(folder) == set()
    return folder


def compiled_module() -> Path | None:
    try:
        from cdipipe import _native
    except ImportError:
        return None
    return Path(_native.__file__)


def snakemake(folder: Path, *options: str) -> str:
    """What Snakemake says, with the copy as the package."""
    paths = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "code"),
    }
    command = [sys.executable, "-m", "snakemake", "-s", "code/Snakefile", "--configfile", "study.yaml", "--cores", "2"]
    done = subprocess.run(
        [*command, *options], cwd=folder, env=os.environ | paths, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def jobs_to_run(folder: Path) -> set[str]:
    """``rule measurement method`` of every job that would run because its parameters, among them the code, changed."""
    text = snakemake(folder, "-n", "out/summary.tsv")
    # jobs of a group are indented
    blocks = re.findall(r"^ *rule ([\w.]+):\n(.*?)(?=^\[|^ *rule |^Job stats|\Z)", text, re.M | re.S)
    changed = [(rule, body) for rule, body in blocks if "Params have changed" in body]
    return {" ".join([rule, *re.findall(r"(?:measurement|method)=(\w+)", body)]) for rule, body in changed}


def edit(file: Path, before: bytes, after: bytes):
    """Replace some bytes of a file; returns a function that puts them back."""
    content = file.read_bytes()
    assert before in content
    file.write_bytes(content.replace(before, after, 1) if before else content + after)
    return lambda: file.write_bytes(content)


ALL = {"alone er", "beside er", "beside lsq"}
EVALUATIONS = {f"evaluate_measurement.{measurement}" for measurement in ("alone", "beside")}
EDITS = {
    "denoise": ("denoise/denoisers.py", b"FLAT = 1e-12", b"FLAT = 2e-12", {"reconstruct_object beside lsq"}),
    "weights": ("networks/denoiser/weights.pt", b"", b"\0", {"reconstruct_object beside lsq"}),
    "metrics": ("metrics/statistics.py", b"", b"\nSPREAD = 3\n", EVALUATIONS),
    "scene": ("simulation/scenes/polygons.py", b"", b"\nMORE = 1\n", {"simulate_measurement alone"}),
    "method": ("methods/reference_lsq/__init__.py", b"", b"\nMORE = 1\n", {"reconstruct_object beside lsq"}),
    "command line": ("cli/collect.py", b"", b"\nMORE = 1\n", {"collect_metrics"}),
    "figures": ("figures/canvas.py", b"", b"\nMORE = 1\n", set()),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_changed_constant_runs_again_what_it_can_change(finished, name):
    file, before, after, expected = EDITS[name]
    undo = edit(finished / "code/cdipipe" / file, before, after)
    try:
        assert jobs_to_run(finished) == expected
    finally:
        undo()


def test_other_kernels_run_again_what_computes_with_them(finished):
    if compiled_module() is None:
        pytest.skip("no kernels are built here")
    undo = edit(finished / "code/cdipipe" / compiled_module().name, b"", b"\0")
    try:
        assert jobs_to_run(finished) == {f"reconstruct_object {pair}" for pair in ALL}  # and so what follows from them
        assert "simulate_measurement" not in snakemake(finished, "-n", "out/summary.tsv")
    finally:
        undo()
