"""The comparisons of config/studies: each is valid at every scale, can be planned, and measures what records hold."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cdipipe.study.config import check_config, load_mapping

ROOT = Path(__file__).parents[2]
STUDIES = sorted((ROOT / "config/studies").glob("*.yaml"))
RECORDS = ROOT / "benchmarks/results"


def at(path: Path, scale: str):
    return check_config(load_mapping(path) | {"scale": scale}, str(path))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_comparison_is_small_at_tiny_and_shows_all_that_it_runs_at_laptop(path):
    tiny, laptop = at(path, "tiny"), at(path, "laptop")
    assert tiny.output == f"results/{path.stem}_tiny" and laptop.output == f"results/{path.stem}"
    assert len(tiny.pairs()) <= 20
    shown = {pair for entry in laptop.drawn().values() for pair in laptop.pairs_of(entry)}
    assert shown == set(laptop.pairs()) and set(laptop.used()) == set(laptop.measurements)
    assert {method for _, method in laptop.pairs()} == set(laptop.methods)


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.stem)
def test_a_comparison_can_be_planned_at_tiny(path, tmp_path, cli):
    assert cli("config", path, "--scale", "tiny", "-o", tmp_path / "study.yaml").code == 0
    for name in at(path, "tiny").imported():
        for file in at(path, "tiny").sources(name):
            if not file.startswith("results/"):  # by hand, not by fetch
                (tmp_path / file).parent.mkdir(exist_ok=True)
                (tmp_path / file).touch()
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1", "-n"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--configfile", "study.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "write_report" in done.stdout, done.stdout + done.stderr


def test_a_record_whose_script_is_gone_names_studies_that_measure_it_now():
    noted = {path.stem: json.loads(path.read_text()).get("measured_now_by") for path in RECORDS.glob("*.json")}
    noted = {name: note for name, note in noted.items() if note}
    assert len(noted) > 10
    for name, note in noted.items():
        named = re.findall(r"config/\S+\.yaml", note)
        assert named and all((ROOT / file).is_file() for file in named), (name, note)
