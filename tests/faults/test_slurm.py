"""The tiny quickstart through a real SLURM on this computer; a worker is killed, a job is taken back; same results."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
import studies
import test_docs_commands as guide
import yaml

pytestmark = [pytest.mark.slurm, pytest.mark.timeout(3600)]
LOOPBACK = studies.ROOT / "tools/loopback_slurm.sh"
HERE = ["--jobs", "4", "--latency-wait", "10", "--slurm-no-account", "--slurm-status-command", "squeue"]
HERE += ["--slurm-init-seconds-before-status-checks", "2"]
HERE += ["--default-resources", "slurm_partition=main", "mem_mb=500", "runtime=60"]
SMALL = {"set": {"network": {"widths": [4]}, "batch_size": 8, "epochs": 400, "checkpoint_steps": 20}}


@pytest.fixture(scope="module")
def cluster():
    up = subprocess.run([LOOPBACK, "status"], capture_output=True, check=False).returncode == 0
    plugin = importlib.util.find_spec("snakemake_executor_plugin_slurm")
    assert plugin, "the marker 'slurm' needs pip install -e '.[slurm]'"
    subprocess.run([LOOPBACK, "start"], check=True)
    yield
    if not up:
        subprocess.run([LOOPBACK, "stop"], check=True)


def study(folder: Path) -> Path:
    """The tiny quickstart with a longer training, and a second network that two processes train together."""
    path = studies.tiny_quickstart(folder, whole=False)
    content = yaml.safe_load(path.read_text())
    net = content["networks"]["small_net"] | SMALL
    content["networks"] = {"small_net": net, "pair_net": net | {"devices": 2, "set": SMALL["set"] | {"epochs": 2}}}
    content["methods"]["pair"] = {"method": "cdi_nn", "checkpoint": "pair_net"}
    content["reconstructions"][0]["methods"].append("pair")
    content["device"] = "cpu"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def process_of(words: str, folder: Path) -> int | None:
    """A process that runs in this folder with these words in its command line, python's own and not the shell's."""
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = place.read_bytes().replace(b"\0", b" ").decode()
            here = (place.parent / "cwd").resolve() == folder.resolve()
        except OSError:
            continue
        if here and words in command and "python" in command.partition(" ")[0] and "snakemake" not in command:
            return int(place.parent.name)
    return None


def wait_for(found, process: subprocess.Popen, folder: Path, seconds: float = 600):
    """What ``found`` returns once it is something, while the workflow runs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if (value := found()) not in (None, ""):
            return value
        time.sleep(0.2)
    raise AssertionError(f"waited in vain: {(folder / 'run.log').read_text()[-3000:]}")


def job_named(part: str) -> str | None:
    """Number of the running SLURM job whose comment has this part."""
    text = subprocess.run(["squeue", "-h", "-t", "R", "-o", "%A %k"], capture_output=True, text=True).stdout
    return next((line.split()[0] for line in text.splitlines() if part in line), None)


def steps_done(last: Path) -> int:
    from cdipipe.networks.checkpoint import read_checkpoint

    return read_checkpoint(last).training["position"]["steps_done"] if last.exists() else 0


def test_a_killed_worker_and_a_preempted_job_go_on_to_the_same_results(cluster, tmp_path):
    local, remote = tmp_path / "local", tmp_path / "remote"
    local.mkdir(), remote.mkdir()
    code, text = studies.run(local, study(local))
    assert code == 0, text[-3000:]
    began = time.monotonic()
    process = studies.start(remote, study(remote), *HERE, profile="slurm")
    last = remote / "out/small_net/run/last.pt"
    until = functools.partial(wait_for, process=process, folder=remote)
    until(lambda: last.exists() or None)
    os.kill(until(lambda: process_of("cdipipe train cdi_nn --devices=1", remote)), signal.SIGKILL)
    at_kill = steps_done(last)
    again = until(lambda: process_of("cdipipe train cdi_nn --devices=1", remote))
    until(lambda: steps_done(last) > at_kill or None)
    job = until(lambda: job_named("train_network_wildcards_small_net") or job_named("small_net"))
    subprocess.run(["scontrol", "requeue", job], check=True)
    at_requeue = steps_done(last)
    code = process.wait(3000)
    assert code == 0, (remote / "run.log").read_text()[-4000:]
    assert again and 0 < at_kill < at_requeue
    ours, theirs = studies.results(remote), studies.results(local)
    assert {name for name in ours | theirs if ours.get(name) != theirs.get(name)} == set()
    if target := os.environ.get("CDIPIPE_RECORD"):
        facts = {"steps_at_kill": at_kill, "steps_at_requeue": at_requeue, "files_compared": len(ours)}
        facts |= {"seconds": round(time.monotonic() - began), "jobs": text_count(remote)}
        (Path(target) / "slurm.json").write_text(json.dumps(facts))


def parts(folder: Path) -> Path:
    """A gold crystal that LAMMPS relaxes, and measured light whose file is fetched."""
    settings = {"size": 16, "block_nm": 4}
    ring = {"files": ["ring.h5::real"], "mask": "ring.h5::mask", "corner": True, "amplitude": True, "crop": [84, 98]}
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({
        "output": "out", "device": "cpu", "keep_runs": False,
        "measurements": {"gold": {"scene": "crystal", "set": settings, "uncertainty": False},
                         "ring": {"fetch": "hawk_ring", "import": ring, "uncertainty": False}},
        "methods": {"er": {"method": "er", "iterations": 20}},
    }, sort_keys=False))  # fmt: skip
    return path


def test_lammps_runs_beside_an_mpi_plugin_and_downloads_stay_here(cluster, data_dir, tmp_path):
    plugin = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, check=True).stdout
    assert "MpiDefault              = none" not in plugin
    process = studies.start(tmp_path, parts(tmp_path), *HERE, profile="slurm")
    code, said = process.wait(1200), (tmp_path / "run.log").read_text()
    assert code == 0, said[-4000:]
    assert "localrule fetch_data" in said and "\nrule simulate_measurement" in said and text_count(tmp_path) >= 6
    assert (tmp_path / "out/report.html").exists()


def test_what_is_missing_is_told_before_a_job_is_sent(cluster, tmp_path):
    path = parts(tmp_path)
    path.write_text(path.read_text().replace("device: cpu", "device: cuda"))
    process = studies.start(tmp_path, path, *HERE, profile="slurm")
    assert process.wait(300) == 1
    said = (tmp_path / "run.log").read_text()
    assert "`sinfo --format=%G` shows no GPU on this cluster" in said and text_count(tmp_path) == 0


def text_count(folder: Path) -> int:
    return (folder / "run.log").read_text().count("has been submitted with SLURM jobid")


def test_the_commands_of_the_guide_are_planned_by_its_profile(cluster, tmp_path, monkeypatch):
    """As printed, with this site's options, and `-n`: a measured volume and core-hours are not for a test."""
    monkeypatch.chdir(tmp_path)
    for name in ("config", "workflow", "Snakefile"):
        (tmp_path / name).symlink_to(studies.ROOT / name)
    blocks = itertools.chain.from_iterable(map(guide.command_blocks, guide.PAGES))
    lines = [line for block in blocks for line in block if any(guide.SLURM in one for one in block)]
    assert len(lines) > 3
    for line in lines:
        guide.run_line(f"{line} {' '.join(HERE)} -n" if guide.SLURM in line else line)
