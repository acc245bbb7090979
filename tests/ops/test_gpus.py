"""GPUs without one: facts are given, or told by a pretended ``nvidia-smi``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cdipipe.errors import InputError
from cdipipe.ops import architectures as architectures_of_cuda
from cdipipe.ops import device, gpu_claims, gpu_faults, gpus
from cdipipe.ops.gpus import Facts, Gpu

H200 = tuple(Gpu(i, f"GPU-{i}{i}{i}", "NVIDIA H200", 90, 143771) for i in range(2))
GOOD = Facts(
    cards=2,
    gpus=H200,
    driver="580.95.05",
    torch="2.13.0",
    torch_cuda="13.0",
    torch_architectures=("sm_75", "sm_80", "sm_86", "sm_90", "sm_100", "sm_120", "compute_120"),
    kernels=True,
    kernel_architectures=("sm_80", "sm_90"),
)
TURING = replace(GOOD, gpus=(Gpu(0, "GPU-0", "Tesla T4", 75, 15360),))
BLACKWELL = replace(GOOD, gpus=(Gpu(0, "GPU-0", "NVIDIA GeForce RTX 5090", 120, 32607),))
NO_DEVICES = "No devices were found"

REASONS = {
    "no card": (Facts(torch="2.13.0", torch_cuda="13.0"), "no NVIDIA GPU and no driver", "nothing to do"),
    "no driver": (Facts(cards=1), "an NVIDIA card is there, but no driver", "apt-get install nvidia-driver"),
    "broken driver": (Facts(cards=1, complaint="NVIDIA-SMI has failed"), "NVIDIA-SMI has failed", "repair the driver"),
    "hidden": (replace(GOOD, visible=""), "CUDA_VISIBLE_DEVICES='' hides every GPU", "unset CUDA_VISIBLE_DEVICES"),
    "torch for CPUs": (replace(GOOD, torch="2.13.0+cpu", torch_cuda=None), "built for CPUs only", "whl/cu130"),
    "torch for CPUs, older driver": (replace(GOOD, torch_cuda=None, driver="550.54"), "CPUs only", "whl/cu126"),
    "old driver": (replace(GOOD, driver="535.104.05"), "driver 535.104.05 is too old", "update the driver, or pip"),
    "old card": (
        replace(GOOD, gpus=(Gpu(0, "GPU-0", "Tesla V100", 70),)),
        "no code for Tesla V100 (sm_70)",
        "whl/cu126",
    ),
    "new card": (
        replace(BLACKWELL, torch_architectures=("sm_80", "sm_90")),
        "no code for NVIDIA GeForce RTX 5090 (sm_120)",
        "pip install --upgrade torch",
    ),
}


@pytest.mark.parametrize("case", REASONS)
def test_every_reason_is_one_line_with_its_cure(case):
    given, reason, cure = REASONS[case]
    fault = gpu_faults.why_not(given)
    assert reason in fault.reason and cure in fault.cure and "\n" not in str(fault)


@pytest.mark.parametrize("given", [GOOD, TURING, BLACKWELL, replace(GOOD, driver=None)])
def test_what_works_has_no_fault(given):
    assert gpu_faults.why_not(given) is None


def test_kernels_that_do_not_run_are_told_with_the_command_that_builds_them():
    assert gpu_faults.why_no_kernels(GOOD) is gpu_faults.why_no_kernels(BLACKWELL) is None  # sm_90 PTX is translated
    for given, reason in (
        (TURING, "built for sm_80, sm_90; Tesla T4 is sm_75"),
        (replace(GOOD, kernel_architectures=()), "no nvcc was found"),
        (replace(GOOD, kernels=False, kernel_architectures=()), "extension is missing"),
    ):
        fault = gpu_faults.why_no_kernels(given)
        assert reason in fault.reason and fault.cure == "make install CUDA=1"
    assert gpu_faults.why_no_kernels(replace(TURING, visible="")) is None  # nothing to run them on


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        (86, ["sm_80"], True),
        (80, ["sm_86"], False),
        (90, ["sm_80"], False),
        (90, ["compute_80"], True),
        (100, ["sm_90a"], False),
        (90, ["sm_90a"], True),
        (0, ["sm_80"], True),
    ],
)
def test_code_runs_where_cuda_says_that_it_does(capability, architectures, runs):
    assert architectures_of_cuda.runs_on(capability, architectures) is runs


def test_visible_gpus_are_those_of_the_environment():
    def names(visible):
        return [gpu.index for gpu in replace(GOOD, visible=visible).usable()]

    assert names(None) == [0, 1] and names("1") == [1] and names("1,0") == [1, 0] and names("GPU-111") == [1]
    assert names("") == names("-1") == names("7,0") == []  # what follows an invalid one is not seen either
    assert replace(GOOD, visible="MIG-5").usable()[0].uuid == "MIG-5"


@pytest.fixture
def given(monkeypatch):
    """given(facts): as if this computer were so."""
    for name in (device.VARIABLE, gpu_claims.CLAIMED, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)

    def pretend(found: Facts) -> None:
        monkeypatch.setattr(gpus, "facts", lambda: found)
        monkeypatch.setattr(device, "_torch_objects", lambda: None)

    return pretend


def test_auto_takes_the_gpu_and_falls_back_with_one_reason(given, capfd):
    given(Facts())
    assert device.choose_device("auto") == "cpu" and capfd.readouterr().err == ""  # no GPU is no reason to complain
    given(replace(GOOD, driver="535.104.05"))
    assert device.choose_device("auto") == "cpu"
    said = capfd.readouterr().err
    assert said.count("\n") == 1 and "device auto is the CPU: driver 535.104.05 is too old" in said
    assert device.choose_device("cpu") == "cpu" and capfd.readouterr().err == ""


def test_cuda_is_refused_with_reason_and_cure(given, monkeypatch):
    given(REASONS["torch for CPUs"][0])
    with pytest.raises(InputError, match=r"built for CPUs only; pip install .*, or take cpu"):
        device.choose_device("cuda")
    monkeypatch.setenv(device.VARIABLE, "cuda")
    with pytest.raises(InputError, match="built for CPUs only"):
        device.choose_device("auto")
    monkeypatch.setenv(device.VARIABLE, "tpu")
    with pytest.raises(InputError, match="CDIPIPE_DEVICE tpu: expected auto, cpu or cuda"):
        device.choose_device("auto")
    monkeypatch.setenv(device.VARIABLE, "cpu")
    given(GOOD)
    assert device.choose_device("auto") == "cpu"


def test_what_torch_objects_to_is_passed_on(given, monkeypatch, capfd):
    given(replace(GOOD, gpus=H200[:1]))
    monkeypatch.setattr(device, "_torch_objects", lambda: gpu_faults.Fault("torch cannot use the GPU: busy", "wait"))
    monkeypatch.setattr(gpu_claims, "claim", lambda *_: None)
    assert device.choose_device("auto") == "cpu" and "torch cannot use the GPU: busy" in capfd.readouterr().err


TAKE = """
import sys
from cdipipe.ops import gpu_claims
from cdipipe.ops.gpus import Gpu
gpus = [Gpu(0, "GPU-000", "A"), Gpu(1, "GPU-111", "B")]
print(*[gpu.index for gpu in gpu_claims.claim(gpus, int(sys.argv[1]))], flush=True)
import os
assert os.environ["CUDA_VISIBLE_DEVICES"] == os.environ["CDIPIPE_GPUS"]
sys.stdin.readline()
"""


def test_processes_get_gpus_of_their_own_and_sharing_is_said(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in (gpu_claims.CLAIMED, "CUDA_VISIBLE_DEVICES")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}

    def take(count, **more):
        return subprocess.Popen(
            [sys.executable, "-c", TAKE, str(count)], env=environment | {"TMPDIR": str(tmp_path)} | more, **pipes
        )

    first = take(1)
    assert first.stdout.readline() == "0\n"
    second = take(1)
    assert second.stdout.readline() == "1\n"
    third = take(2)  # both are taken
    assert third.stdout.readline() == "0 1\n"
    assert third.communicate("\n")[1].splitlines() == [
        f"cdipipe: GPU 0 (A) is shared with process {first.pid}",
        f"cdipipe: GPU 1 (B) is shared with process {second.pid}",
    ]
    first.kill(), first.wait()  # however it ends, its GPU is free
    fourth = take(1)
    assert fourth.stdout.readline() == "0\n"
    child = take(1, CUDA_VISIBLE_DEVICES="GPU-111", CDIPIPE_GPUS="GPU-111")  # as started by the second
    assert child.stdout.readline() == "0\n"  # of what it sees, the first
    for process in (second, fourth, child):
        assert process.communicate("\n")[1] == ""


def test_the_lock_of_another_user_can_be_taken_and_a_link_is_not_followed(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu_claims.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpu_claims, "_held", [])
    assert gpu_claims._lock(H200[0]) is None
    path = tmp_path / "cdipipe-GPU-000.lock"
    assert path.stat().st_mode & 0o777 == 0o666 and path.read_text() == f"process {os.getpid()}"
    assert gpu_claims._lock(H200[0]) == f"process {os.getpid()}"
    target = tmp_path / "precious"
    target.write_text("kept")
    (tmp_path / "cdipipe-GPU-111.lock").symlink_to(target)
    assert gpu_claims._lock(H200[1]) is None and target.read_text() == "kept"


SMI = """#!/bin/sh
cat <<'END'
0, GPU-aaaa, NVIDIA H200, 9.0, 143771, 580.95.05
1, GPU-bbbb, NVIDIA H200, [N/A], 143771, 580.95.05
END
"""


def pretend_smi(folder: Path, text: str) -> None:
    (folder / "nvidia-smi").write_text(text)
    (folder / "nvidia-smi").chmod(0o755)


def test_the_driver_is_asked_without_torch(tmp_path, monkeypatch):
    pretend_smi(tmp_path, SMI)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found, driver, complaint = gpus._ask_driver()
    assert found[0] == Gpu(0, "GPU-aaaa", "NVIDIA H200", 90, 143771) and str(found[0]) == (
        "0: NVIDIA H200 (sm_90, 140 GiB)"
    )
    assert found[1].capability == 0 and driver == "580.95.05" and complaint is None
    pretend_smi(tmp_path, f"#!/bin/sh\necho {NO_DEVICES}\nexit 6\n")
    assert gpus._ask_driver()[2] == NO_DEVICES
    monkeypatch.setattr(gpus, "SMI_TIMEOUT_S", 0.2)
    pretend_smi(tmp_path, "#!/bin/sh\nexec sleep 5\n")
    began = time.monotonic()
    assert "TimeoutExpired" in gpus._ask_driver()[2] and time.monotonic() - began < 4


def test_cards_are_counted_on_the_bus(tmp_path):
    for name, vendor, kind in (("a", "0x10de", "0x030200"), ("b", "0x10de", "0x040300"), ("c", "0x8086", "0x030000")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(f"{vendor}\n")
        (tmp_path / name / "class").write_text(f"{kind}\n")
    assert gpus._cards(tmp_path) == 1 and gpus._cards(tmp_path / "nowhere") == 0


def test_the_build_of_torch_is_read_from_its_files():
    import torch

    assert gpus._torch_build() == (torch.__version__, torch.version.cuda)


def test_without_a_gpu_torch_is_not_loaded():
    code = "import sys; from cdipipe.ops import device; print(device.resolve_device('auto')[0], 'torch' in sys.modules)"
    empty = {k: v for k, v in os.environ.items() if k != device.VARIABLE} | {"PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], env=empty, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"cpu False\n|cuda True\n", done.stdout), done.stdout + done.stderr
