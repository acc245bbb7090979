import json
from dataclasses import replace
from pathlib import Path

import pytest

from cdipipe.cli import doctor
from cdipipe.extras import EXTRAS
from cdipipe.ops import gpus
from cdipipe.ops.gpus import Facts, Gpu

ROOT = Path(__file__).parents[2]
H200 = Facts(
    cards=1,
    gpus=(Gpu(0, "GPU-0", "NVIDIA H200", 90, 143771),),
    driver="580.95.05",
    torch="2.13.0",
    torch_cuda="13.0",
    kernels=True,
    kernel_architectures=("sm_90",),
)


def test_a_usable_installation(cli):
    done = cli("doctor")
    assert done.code == 0 and "problems: none" in done.out and "kernels:" in done.out
    facts = json.loads(cli("doctor", "--json").out)
    assert facts["problems"] == [] and facts["versions"]["torch"] and "native_built" in facts["kernels"]
    assert set(facts["extras"]) == set(EXTRAS)


def test_a_missing_part_is_named(cli, monkeypatch):
    monkeypatch.setattr(doctor, "REQUIRED", ("numpy", "no_such_module"))
    done = cli("doctor")
    assert "no_such_module cannot be imported" in done.complaint and "numpy: " in done.out


def test_a_broken_kernel_does_not_break_the_report(cli, monkeypatch):
    def broken():
        raise RuntimeError("libgomp is gone")

    monkeypatch.setattr(doctor, "_kernels", broken)
    done = cli("doctor")
    assert "kernels: RuntimeError: libgomp is gone" in done.complaint and "devices:" in done.out


def test_folders_are_those_of_the_environment(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("CDIPIPE_CACHE", str(tmp_path))
    monkeypatch.delenv("CDIPIPE_DATA_DIR", raising=False)
    folders = json.loads(cli("doctor", "--json").out)["folders"]
    assert folders["cache (CDIPIPE_CACHE)"] == str(tmp_path)
    assert folders["aps34idc_s54"] == "not here; cdipipe fetch aps34idc_s54"


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (replace(H200, torch_cuda=None), "torch 2.13.0 is built for CPUs only; pip install --force-reinstall torch"),
        (replace(H200, kernel_architectures=()), "CUDA kernels were not built: no nvcc was found"),
        (replace(H200, driver="535.1"), "driver 535.1 is too old for torch 2.13.0 with CUDA 13.0, which needs 580"),
        (replace(H200, gpus=()), "an NVIDIA card is there, but no driver"),
    ],
)
def test_a_gpu_that_is_not_used_is_a_problem_with_a_cure(cli, monkeypatch, facts, said):
    monkeypatch.setattr(gpus, "facts", lambda: facts)
    done = cli("doctor")
    problems = done.out.splitlines()[-1]
    assert done.code == 0 and problems.startswith("problems: ") and said in problems  # all works on the CPU


def test_a_gpu_that_is_used_and_none_at_all_are_no_problems(cli, monkeypatch):
    monkeypatch.delenv("CDIPIPE_DEVICE", raising=False)
    for facts, device in ((H200, "cuda"), (Facts(), "cpu")):
        monkeypatch.setattr(gpus, "facts", lambda found=facts: found)
        said = json.loads(cli("doctor", "--json").out)
        assert said["problems"] == [] and said["gpu"]["device auto takes"] == device
        assert said["gpu"]["CUDA graphs (CDIPIPE_CUDA_GRAPHS)"] == "for small batches"
    assert (
        said["gpu"]["why no GPU"]
        == "there is no NVIDIA GPU and no driver here; nothing to do on a computer without one"
    )


def test_doctor_and_readme_say_whether_cuda_has_run_on_a_gpu():
    tried = (ROOT / "benchmarks/results/gpu.json").exists()
    assert ("has not run on a GPU yet" in doctor.TRIED) is not tried
    assert ("has not run on a GPU yet" in (ROOT / "README.md").read_text()) is not tried
