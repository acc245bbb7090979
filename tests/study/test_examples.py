"""Studies of measured data that others have published: each says what one should see; `cdipipe fetch` knows them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cdipipe.io.datasets import DATASETS, find_dataset, local_copy
from cdipipe.io.datasets.manual import MANUAL_DATASETS
from cdipipe.study.config import check_config, load_mapping

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "config/examples").glob("*.yaml"))


def test_eight_measured_sets_have_a_study():
    assert len(EXAMPLES) >= 8
    by_hand = {dataset.study for dataset in MANUAL_DATASETS.values() if dataset.study}
    fetched = {f"{name}.yaml" for name in DATASETS}
    assert {path.name for path in EXAMPLES} == by_hand | fetched


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_valid_and_says_what_to_see(path):
    study = check_config(load_mapping(path), str(path))
    comment = " ".join(line[2:] for line in path.read_text().splitlines()[1:] if line.startswith("# "))
    assert "What to see: " in comment and study.output == f"results/examples/{path.stem}"
    if path.stem in MANUAL_DATASETS:
        assert f"cdipipe fetch {path.stem}" in comment and "Not run by us yet" in comment
        sources = [
            file for name in study.imported() for file in load_mapping(path)["measurements"][name]["import"]["files"]
        ]
        assert all(file.startswith(f"data/{path.stem}/") for file in sources)


@pytest.mark.parametrize(
    "path", [path for path in EXAMPLES if path.stem in MANUAL_DATASETS], ids=lambda path: path.stem
)
def test_an_example_can_be_planned_once_its_files_are_there(path, tmp_path, cli):
    assert cli("config", path, "-o", tmp_path / "study.yaml").code == 0
    study = check_config(load_mapping(path), str(path))
    for entry in (study.measurements[name].import_ for name in study.imported()):
        for file in [*entry.files, *entry.named_files()]:
            place = tmp_path / file.partition("::")[0].replace("*", "1")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "1", "-n"]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(
        [*command, "--configfile", "study.yaml"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0 and "write_report" in done.stdout, done.stdout + done.stderr


def test_fetch_tells_how_to_get_what_it_cannot_download(cli):
    done = cli("fetch", "cxidb_mimivirus")
    assert done.code == 2 and "make run CONFIG=config/examples/cxidb_mimivirus.yaml" in done.out


def test_files_that_are_here_are_those_that_were_published(data_dir, cli):
    assert local_copy(find_dataset("hawk_ring")) == data_dir / "hawk_ring_optical"
    done = cli("fetch", "hawk_ring")
    assert done.code == 0 and "files: ring.h5, raw_ring.h5.gz; SHA-256 agrees" in done.out
