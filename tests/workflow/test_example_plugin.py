"""The example package of ``examples/plugin``, installed: one of each through the command line and through a study."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_workflow import snakemake

from cdipipe.io.cxi import read_reconstruction
from cdipipe.io.export import EXPORTS
from cdipipe.io.metrics_file import read_metrics
from cdipipe.metrics.registry import METRICS
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.registry import NETWORKS
from cdipipe.phasing.registry import METHODS
from cdipipe.simulation.registry import SCENES
from cdipipe.study.config import check_config

SOURCE = Path(__file__).parents[2] / "examples/plugin"
REGISTRIES = (METHODS, SCENES, NETWORKS, METRICS, EXPORTS)
TRAINING = {"epochs": 3, "learning_rate": 0.01}
STUDY = {
    "output": "out",
    "measurements": {"disc": {"scene": "disc", "seed": 2, "set": {"size": 32, "photons": 1e5}, "export": ["csv"]}},
    "corpora": {"discs": {"scene": "disc", "count": 24, "set": {"size": 32, "photons": 0}}},
    "networks": {"learned": {"network": "pixel_net", "corpus": "discs", "set": TRAINING}},
    "methods": {
        "calm": {"method": "calm", "iterations": 20},
        "net": {"method": "pixel_net", "checkpoint": "learned"},
    },
    "tables": {"rough": {"metric": "roughness", "columns": {"disc": "disc"}, "ranking": True}},
    "keep_runs": False,
}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """Folder that the package was installed into, by pip."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("plugin")
    shutil.copytree(SOURCE, folder / "source")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--target", str(folder / "site")]
    command = [sys.executable, "-m", "pip", "install", *options, str(folder / "source")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "site"


@pytest.fixture
def plugin(installed, monkeypatch):
    """The package in this process and in those that it starts."""
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setenv("PYTHONPATH", f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    importlib.invalidate_caches()
    for registry in REGISTRIES:
        registry.look_again()
    yield
    monkeypatch.undo()
    for registry in REGISTRIES:
        registry.look_again()
    for name in [name for name in sys.modules if name.startswith("cdipipe_example")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("methods", "calm"),
        ("methods", "pixel_net"),
        ("scenes", "disc"),
        ("networks", "pixel_net"),
        ("metrics", "roughness"),
    ],
)
def test_each_is_listed(plugin, cli, command, name):
    assert name in cli(command).out and cli(command, name).code == 0


def test_each_works_on_the_command_line(plugin, cli, tmp_path):
    file = {
        name: tmp_path / name for name in ("M.cxi", "T.cxi", "R.cxi", "N.cxi", "metrics.json", "R.csv", "corpus", "run")
    }
    size = ("--set", "size=32", "--set", "photons=0")
    assert cli("simulate", "disc", "-o", file["M.cxi"], "--truth", file["T.cxi"], *size).code == 0
    assert cli("reconstruct", file["M.cxi"], "-m", "calm", "--set", "iterations=20", "-o", file["R.cxi"]).code == 0
    assert read_reconstruction(file["R.cxi"]).provenance["versions"]["cdipipe-example"] == "0.1.0"
    judge = ("--measurement", file["M.cxi"], "--truth", file["T.cxi"], "-o", file["metrics.json"])
    assert cli("evaluate", file["R.cxi"], *judge).code == 0
    assert 0 < read_metrics(file["metrics.json"])["roughness"] < 1
    assert cli("export", file["R.cxi"], "-o", file["R.csv"]).code == 0
    assert len(file["R.csv"].read_text().splitlines()) == 32
    assert cli("corpus", "disc", "-o", file["corpus"], "--count", "24", *size).code == 0
    small = [f"--set={key}={value}" for key, value in TRAINING.items()]
    assert cli("train", "pixel_net", "--corpus", file["corpus"], "-o", file["run"], *small).code == 0
    best = file["run"] / "best.pt"
    assert read_checkpoint(best, "pixel_net").settings.learning_rate == 0.01
    predict = ("reconstruct", file["M.cxi"], "-m", "pixel_net", "-o", file["N.cxi"])
    assert cli(*predict, "--checkpoint", best).code == 0
    assert read_reconstruction(file["N.cxi"]).object.real.max() > 0
    assert "no weights come with the package" in cli(*predict).complaint


def test_a_study_uses_each_of_them(plugin, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    code, text = snakemake(tmp_path, path, "-n")
    assert code == 0 and "train_network" in text and "build_shard" in text, text
    goals = ["out/tables/rough.tsv", "out/disc/calm/object.csv", "out/disc/net/object.csv"]
    code, text = snakemake(tmp_path, path, *goals)
    assert code == 0, text
    rows = (tmp_path / "out/tables/rough.tsv").read_text()
    assert "calm\tdisc\troughness" in rows and "net\tdisc\troughness" in rows
    assert json.loads((tmp_path / "out/disc/net/metrics.json").read_text())["roughness"] > 0
    again = snakemake(tmp_path, path, "-n", *goals)[1]
    assert "Nothing to be done" in again, again


def test_a_change_of_the_package_runs_again_what_it_can_change(plugin, installed, tmp_path):
    from cdipipe.import_closure import files_used

    study = check_config(STUDY, "study.yaml")
    method, network = (files_used(["cdipipe.cli.reconstruct"], used) for used in _used(study))
    assert "cdipipe_example.calm" in method and "cdipipe_example.pixel_net.model" not in method
    assert "cdipipe_example.pixel_net.model" in network and "cdipipe_example.calm" not in network


def _used(study):
    from cdipipe.study.code import records_of_job

    return [records_of_job(study, "reconstruct", measurement="disc", method=name) for name in ("calm", "net")]


def test_without_the_package_nothing_of_it_is_known(cli):
    assert "unknown method 'calm'" in cli("methods", "calm").complaint
