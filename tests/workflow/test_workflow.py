"""The workflow: mistakes named before anything runs, every study plannable, a tiny one from end to end."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from cdipipe.io.datasets.manual import MANUAL_DATASETS

ROOT = Path(__file__).parents[2]
BY_HAND = {dataset.study for dataset in MANUAL_DATASETS.values()}
CONFIGS = sorted(
    path for path in (ROOT / "config").rglob("*.yaml") if path.parent.name != "studies" and path.name not in BY_HAND
)
"""Not those of data that are downloaded by hand."""
TINY = {
    "output": "out",
    "seed": 5,
    "restarts": 3,
    "measurements": {
        "simulated": {"scene": "polygons", "seed": 1, "set": {"size": 64, "photons": 1e5}, "export": ["vti"]},
        "measured": {"import": {"files": ["counts.npy"], "pixel_m": 5e-5, "energy_ev": 8000, "distance_m": 1.0}},
    },
    "methods": {"mix": {"sequence": "2*(5*ER+10*HIO)+5*ER"}},
    "average": {"agree": 0, "keep_best": 2, "modes": 2},
    "tables": {"both": {"metric": "r_factor", "columns": {"simulated": "simulated", "measured": "measured"}}},
    "galleries": {"pictures": {"rows": {"simulated": "simulated", "measured": "measured"}}},
}


def start_snakemake(folder: Path, config: Path, *options: str, **process) -> subprocess.Popen:
    """Snakemake on a study, in ``folder``, with the interpreter's own scripts first on the path."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--cores", "2", "--configfile"]
    command += [str(config), "--directory", str(folder), *options]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "stdin": subprocess.DEVNULL}
    return subprocess.Popen(command, env=environment, cwd=folder, text=True, **pipes, **process)


def snakemake(folder: Path, config: Path, *options: str) -> tuple[int, str]:
    """Exit code and everything printed."""
    process = start_snakemake(folder, config, *options)
    text, _ = process.communicate(timeout=300)
    return process.returncode, text


def write_study(folder: Path, **changes) -> Path:
    path = folder / "study.yaml"
    study = TINY | changes
    if len(study["measurements"]) < len(TINY["measurements"]):
        study |= {"tables": {}, "galleries": {}}
    path.write_text(yaml.safe_dump(study, sort_keys=False))
    return path


def test_a_misspelt_key_is_named_and_nothing_runs(tmp_path):
    path = write_study(tmp_path, methods={"mix": {"method": "hio", "betta": 0.9}})
    code, text = snakemake(tmp_path, path)
    assert code != 0
    said = [line for line in text.splitlines() if "unknown key 'betta'" in line]
    assert len(said) == 1
    assert said[0].startswith("study.yaml: methods.mix")
    assert "did you mean 'beta'?" in said[0]
    assert "Traceback" not in text
    assert not (tmp_path / "out").exists()


def test_values_beside_the_file_are_refused(tmp_path):
    code, text = snakemake(tmp_path, write_study(tmp_path), "--config", "restarts=2")
    assert code != 0
    assert "one --configfile decides what runs" in text


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_can_be_planned(config, tmp_path):
    code, text = snakemake(tmp_path, config, "-n")
    assert code == 0, text
    assert "write_report" in text


@pytest.fixture(scope="module")
def tiny_study(tmp_path_factory):
    """A finished study of one simulated and one imported pattern: folder, configuration, what was printed."""
    folder = tmp_path_factory.mktemp("tiny")
    row, column = np.mgrid[-32:32, -32:32]
    np.save(folder / "counts.npy", np.round(1e4 * np.sinc(row / 8) ** 2 * np.sinc(column / 6) ** 2).astype(np.int32))
    config = write_study(folder)
    code, text = snakemake(folder, config)
    assert code == 0, text
    return folder, config


def test_the_tiny_study_makes_every_output(tiny_study):
    folder, _ = tiny_study
    out = folder / "out"
    for name in ("simulated", "measured"):
        made = {path.name for path in (out / name / "mix").iterdir()}
        assert made >= {"R.cxi", "mean.cxi", "metrics.json", "curves.npz", "object.png", "diagnostics.png"}
    assert (out / "simulated/mix/object.vti").is_file()
    assert "measured" in (out / "tables/both.tsv").read_text() and (out / "tables/pictures.png").is_file()
    metrics = json.loads((out / "simulated/mix/metrics.json").read_text())
    assert {"r_factor", "complex_correlation", "prtf_runs"} <= set(metrics)
    assert "complex_correlation" not in json.loads((out / "measured/mix/metrics.json").read_text())
    rows = list(csv.DictReader((out / "summary.tsv").read_text().splitlines(), delimiter="\t"))
    assert [(row["measurement"], row["method"]) for row in rows] == [("simulated", "mix"), ("measured", "mix")]
    assert float(rows[0]["r_factor"]) == metrics["r_factor"]


def test_the_report_needs_no_other_file(tiny_study):
    page = (tiny_study[0] / "out/report.html").read_text()
    # all metrics, table, gallery; of each measurement its best result, its pattern and what its object came from; error
    # bars
    pictures = 1 + 2 + 2 * (1 + 2) + 1
    assert page.count('src="data:image/webp;base64,') == pictures
    assert 'src="http' not in page and "<link" not in page
    commands = ["simulate polygons", "import counts.npy", "plot out/measured/M.cxi out/measured/mix/mean.cxi"]
    commands += ["reconstruct out/measured/M.cxi", "runs out/measured/mix/R.cxi", "report study.yaml"]
    assert [command for command in commands if f"cdipipe {command}" not in page] == []
    assert "2*(5*ER+10*HIO)+5*ER" in page
    assert page.count("<td>yes</td>") == 2 * 2 and page.count("<td>no</td>") == 2 * 1  # runs kept in the means


def test_a_finished_study_has_nothing_left_to_do_until_a_parameter_changes(tiny_study):
    folder, config = tiny_study
    code, text = snakemake(folder, config)
    assert code == 0
    assert "Nothing to be done" in text, text
    changed = folder / "changed.yaml"
    changed.write_text(config.read_text().replace("10*HIO", "11*HIO"))
    code, text = snakemake(folder, changed, "-n")
    assert code == 0
    assert "reconstruct_object" in text
    assert "simulate_measurement" not in text


def test_snakemakes_own_report_can_be_made(tiny_study):
    folder, config = tiny_study
    code, text = snakemake(folder, config, "--report", "snakemake.html")
    assert code == 0, text
    assert (folder / "snakemake.html").stat().st_size > 1e5


def test_ctrl_c_leaves_no_partial_output(tmp_path):
    measurements = {"simulated": TINY["measurements"]["simulated"]}
    long = {"long": {"method": "hio", "iterations": 10_000_000}}
    config = write_study(tmp_path, measurements=measurements, methods=long, average=None)
    process = start_snakemake(tmp_path, config, start_new_session=True)
    log = tmp_path / "out/logs/simulated.long.reconstruct.log"
    deadline = time.monotonic() + 120
    while not log.is_file() and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(5)  # into the iterations
    os.killpg(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode != 0, text
    assert list((tmp_path / "out/simulated/long").glob("*")) == []


def test_strain_is_made_where_a_measurement_asks_for_it(tmp_path):
    study = {
        "output": str(tmp_path / "out"),
        "measurements": {
            "crystal": {"scene": "bragg", "seed": 1, "strain": {"lattice": "gold", "hkl": [1, 1, 1]}},
            "other": {"scene": "bragg", "seed": 2},
        },
        "methods": {"er": {"method": "er", "iterations": 5}},
    }
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "-p", "--cores", "1", "--configfile", str(tmp_path / "study.yaml")],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert listed.returncode == 0, listed.stderr
    assert "--lattice=gold --hkl=1,1,1 --facets" in listed.stdout + listed.stderr
    jobs = (listed.stdout + listed.stderr).split("Job stats:")[-1]
    assert re.search(r"analyse_strain\s+1\b", jobs) and re.search(r"plot_strain\s+1\b", jobs)
