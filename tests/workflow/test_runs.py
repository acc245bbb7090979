"""Around a run: no second one in the same folder, none that is kept out by a dead one, failures explained."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from test_workflow import ROOT, TINY, snakemake, write_study

from cdipipe.errors import InputError
from cdipipe.study import run

HOLD = """import sys, time
from cdipipe.study import run
mark = run.claim_output(sys.argv[1])
print("has it", flush=True)
time.sleep(600)"""
PROFILES = ROOT / "workflow/profiles"


@pytest.fixture
def holder(tmp_path):
    """A process that has claimed ``out``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "has it\n"
    yield process
    process.kill()
    process.wait()


def test_a_second_run_is_told_who_is_at_work_until_that_one_is_dead(holder, tmp_path):
    with pytest.raises(InputError, match=rf"another run is at work here, process {holder.pid} on ") as caught:
        run.claim_output(str(tmp_path / "out"))
    assert "\n" not in str(caught.value)
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    run.claim_output(str(tmp_path / "out")).close()


def test_a_workflow_refuses_to_run_beside_another_but_can_be_planned(holder, tmp_path):
    study = write_study(tmp_path, measurements={"simulated": TINY["measurements"]["simulated"]})
    code, text = snakemake(tmp_path, study, "out/simulated/M.cxi")
    assert code != 0 and "out: another run is at work here" in text, text
    assert not (tmp_path / "out/simulated").exists()
    assert snakemake(tmp_path, study, "-n")[0] == 0


def test_locks_of_snakemake_keep_no_run_out(tmp_path):
    study = write_study(tmp_path, measurements={"simulated": TINY["measurements"]["simulated"]})
    locks = tmp_path / ".snakemake/locks"
    locks.mkdir(parents=True)
    (locks / "0.output.lock").write_text("out/simulated/M.cxi\n")  # as a run that was killed leaves it
    profile = ("--workflow-profile", str(PROFILES / "local"), "out/simulated/M.cxi")
    code, text = snakemake(tmp_path, study, *profile)
    assert code == 0, text


def test_a_full_disk_and_a_folder_that_became_read_only_are_named(tmp_path, monkeypatch):
    out = str(tmp_path)
    assert run.explain_failure(out) == ""
    monkeypatch.setattr(run.os, "access", lambda place, mode: False)
    assert "may not be written any more" in run.explain_failure(out)
    monkeypatch.setattr(run.shutil, "disk_usage", lambda place: _Full)
    assert "the disk is full, 5 bytes are left" in run.explain_failure(out)


class _Full:
    free = 5


def rules_of_the_workflow() -> set[str]:
    texts = [path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk")]
    return {name for text in texts for name in re.findall(r"^rule (\w+):", text, re.M)}


@pytest.mark.parametrize("profile", sorted(PROFILES.glob("*/config.yaml")), ids=lambda path: path.parent.name)
def test_profiles_name_rules_that_there_are_and_ask_for_more_at_each_attempt(profile):
    content = yaml.safe_load(profile.read_text())
    assert content["nolock"] and content["rerun-incomplete"]
    asked = content.get("set-resources", {})
    assert set(asked) <= rules_of_the_workflow()
    for amounts in [*asked.values(), content.get("default-resources", {})]:
        for name in {"mem_mb", "runtime"} & set(amounts):
            first, second = (eval(amounts[name], {"attempt": attempt}) for attempt in (1, 2))
            assert second == 2 * first > 0


def test_rules_leave_memory_and_minutes_to_the_profiles():
    for path in Path(ROOT / "workflow/rules").glob("*.smk"):
        assert "mem_mb" not in path.read_text() and "runtime" not in path.read_text(), path.name
