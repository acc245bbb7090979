"""The example package of ``examples/plugin``, installed: one of each through the command line and through a study."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from test_workflow import snakemake

from cdipipe import import_closure, module_source
from cdipipe.io.cxi import read_measurement, read_reconstruction
from cdipipe.io.export import EXPORTS
from cdipipe.io.importing.readers import READERS
from cdipipe.io.metrics_file import read_metrics
from cdipipe.live.registry import SOURCES
from cdipipe.metrics.registry import METRICS
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.registry import NETWORKS
from cdipipe.phasing.registry import METHODS
from cdipipe.simulation.registry import SCENES
from cdipipe.study.config import check_config

SOURCE = Path(__file__).parents[2] / "examples/plugin"
REGISTRIES = (METHODS, SCENES, NETWORKS, METRICS, EXPORTS, READERS, SOURCES)
TRAINING = {"epochs": 3, "learning_rate": 0.01}
STUDY = {
    "output": "out",
    "measurements": {
        "text": {"import": {"files": ["two.counts"], "stack": "shots", "no_centre": True}},
        "disc": {"scene": "disc", "seed": 2, "set": {"size": 32, "photons": 1e5}, "export": ["csv"]},
    },
    "corpora": {"discs": {"scene": "disc", "count": 24, "set": {"size": 32, "photons": 0}}},
    "networks": {"learned": {"network": "pixel_net", "corpus": "discs", "set": TRAINING}},
    "methods": {
        "calm": {"method": "calm", "iterations": 20},
        "net": {"method": "pixel_net", "checkpoint": "learned"},
    },
    "reconstructions": [{"measurements": ["disc"]}, {"measurements": ["text"], "methods": ["calm"]}],
    "tables": {"rough": {"metric": "roughness", "columns": ["disc", "text"], "ranking": True}},
    "keep_runs": False,
}


def write_counts(path: Path) -> np.ndarray:
    """Two frames of a slit as text."""
    row, column = np.mgrid[-16:16, -16:16]
    counts = np.random.default_rng(0).poisson(1e3 * np.sinc(row / 6) ** 2 * np.sinc(column / 4) ** 2, (2, 32, 32))
    path.write_text("\n\n".join("\n".join(" ".join(map(str, line)) for line in frame) for frame in counts))
    return counts


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


def look_again() -> None:
    """Forget what was found before in this process."""
    importlib.invalidate_caches()
    for registry in REGISTRIES:
        registry.look_again()
    for module in (module_source, import_closure):
        for found in vars(module).values():
            getattr(found, "cache_clear", lambda: None)()


@pytest.fixture
def plugin(installed, monkeypatch):
    """The package in this process and in those that it starts."""
    monkeypatch.syspath_prepend(installed)
    monkeypatch.setenv("PYTHONPATH", f"{installed}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    look_again()
    yield
    monkeypatch.undo()
    look_again()
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


def test_its_format_is_read_as_it_is(plugin, cli, tmp_path):
    assert "counts as text (.counts)" in cli("formats").out and "spreadsheets" in cli("formats").out
    counts = write_counts(tmp_path / "two.counts")
    assert cli("import", tmp_path / "two.counts", "--stack", "shots", "--no-centre", "-o", tmp_path / "M.cxi").code == 0
    np.testing.assert_array_equal(read_measurement(tmp_path / "M.cxi").intensity, counts)
    (tmp_path / "bad.counts").write_text("1 2\n3 x")
    bad = cli("import", tmp_path / "bad.counts", "--stack", "shots", "-o", tmp_path / "M.cxi").complaint
    assert "bad.counts: damaged or unreadable" in bad


def test_its_source_is_taken_by_live(plugin, cli, tmp_path):
    told = cli("live", "slit:3", "-m", "cdi_nn", "-o", tmp_path / "out.cxi", "--import", "centre=middle")
    assert told.code == 0 and "3 received, 3 phased" in told.out
    assert read_reconstruction(tmp_path / "out.cxi").provenance["live"]["source"] == "slit:3"
    assert "such as slit:30" in cli("live", "slit:few", "-o", tmp_path / "few.cxi").complaint


def test_a_study_uses_each_of_them(plugin, tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    write_counts(tmp_path / "two.counts")
    code, text = snakemake(tmp_path, path, "-n")
    assert code == 0 and "train_network" in text and "build_shard" in text, text
    goals = ["out/tables/rough.tsv", "out/disc/calm/object.csv", "out/disc/net/object.csv"]
    code, text = snakemake(tmp_path, path, *goals)
    assert code == 0, text
    rows = (tmp_path / "out/tables/rough.tsv").read_text()
    assert all(f"{cell}\troughness" in rows for cell in ("calm\tdisc", "net\tdisc", "calm\ttext")), rows
    assert json.loads((tmp_path / "out/disc/net/metrics.json").read_text())["roughness"] > 0
    again = snakemake(tmp_path, path, "-n", *goals)[1]
    assert "Nothing to be done" in again, again


def test_a_change_of_the_package_runs_again_what_it_can_change(plugin, installed, tmp_path):
    study = check_config(STUDY, "study.yaml")
    method, network = (import_closure.files_used(["cdipipe.cli.reconstruct"], used) for used in _used(study))
    assert "cdipipe_example.calm" in method and "cdipipe_example.pixel_net.model" not in method
    assert "cdipipe_example.pixel_net.model" in network and "cdipipe_example.calm" not in network


def _used(study):
    from cdipipe.study.code import records_of_job

    return [records_of_job(study, "reconstruct", measurement="disc", method=name) for name in ("calm", "net")]


def test_without_the_package_nothing_of_it_is_known(cli):
    assert "unknown method 'calm'" in cli("methods", "calm").complaint
