"""Which code runs where, and that a missing extension cannot hide."""

import os
import shutil
import subprocess
import sys

import pytest
import torch

from cdipipe.ops import backend, projection


def python(code: str, **environment) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_the_extension_is_built():
    """Compiled code is part of an installation; only a build that failed ends up without."""
    assert backend.native is not None, backend.describe()["why"]
    assert backend.has_native("cpu")


def test_describe_is_plain_data_about_this_machine():
    facts = backend.describe()
    assert facts["simd"] in facts["simd_available"]
    assert facts["threads"] == torch.get_num_threads()
    assert facts["cuda_devices"] == torch.cuda.device_count() or not torch.cuda.is_available()
    assert facts["cuda_compiled"] == bool(facts["cuda_architectures"])
    assert facts["cuda_devices"] > 0 or facts["cuda_message"]


def test_names_for_provenance():
    assert backend.name("cpu") == f"native-cpu ({backend.describe()['simd']})"
    assert backend.name(torch.device("cpu")) == backend.name("cpu")
    assert backend.name("cuda:0") == ("reference" if backend.why_no_cuda() else "native-cuda")
    with backend.use("reference"):
        assert backend.name("cpu") == "reference"


class Kernels:
    """CUDA kernels for sm_80 and sm_90, on a computer with so many devices."""

    def __init__(self, devices: int):
        self.cuda_devices = lambda: (devices, "" if devices else "CUDA driver version is insufficient")

    def cuda_compiled(self) -> bool:
        return True

    def cuda_architectures(self) -> str:
        return "80,90"


@pytest.mark.parametrize(
    ("devices", "capability", "why"),
    [
        (0, (9, 0), "driver version is insufficient"),
        (1, (9, 0), None),
        (1, (12, 0), None),
        (1, (7, 5), "built for sm_80, sm_90; Pretended is sm_75"),
    ],
)
def test_kernels_that_cannot_run_leave_the_work_to_torch(devices, capability, why, monkeypatch):
    monkeypatch.setattr(backend, "native", Kernels(devices))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Pretended")
    backend.why_no_cuda.cache_clear()
    try:
        assert backend.has_native("cuda") is backend.use_native("cuda") is (why is None)
        assert (backend.why_no_cuda() or "").endswith(why or "")
        if why:
            with backend.use("native"), pytest.raises(RuntimeError, match=why):
                backend.use_native("cuda")
    finally:
        backend.why_no_cuda.cache_clear()


def test_native_code_refuses_to_be_replaced():
    with backend.use("native"), pytest.raises(RuntimeError, match="no compiled kernels for 'mps'"):
        backend.use_native("mps")


def test_environment_chooses_the_backend():
    code = "from cdipipe.ops import backend; print(backend.name('cpu'))"
    assert python(code, CDIPIPE_BACKEND="reference").stdout.strip() == "reference"
    assert "got 'fast'; allowed: auto, native, reference" in python(code, CDIPIPE_BACKEND="fast").stderr


def test_environment_chooses_the_instruction_set():
    code = "from cdipipe.ops import backend; print(backend.describe()['simd'])"
    assert python(code, CDIPIPE_SIMD="baseline").stdout.strip() == "baseline"
    assert "CDIPIPE_SIMD: got 'mmx'" in python(code, CDIPIPE_SIMD="mmx").stderr


def test_a_missing_extension_is_an_error_when_required():
    code = "import sys; sys.modules['cdipipe._native'] = None; from cdipipe.ops import backend; print(backend.name())"
    assert python(code, CDIPIPE_REQUIRE_NATIVE="").stdout.strip() == "reference"
    failed = python(code, CDIPIPE_REQUIRE_NATIVE="1")
    assert failed.returncode == 1 and "CDIPIPE_REQUIRE_NATIVE is set" in failed.stderr


def test_what_was_built_is_one_line(monkeypatch):
    levels = ", ".join(backend.native.simd_levels())
    monkeypatch.setattr(backend, "kernel_architectures", lambda: ("sm_75", "sm_120"))
    assert backend.what_was_built() == f"Kernels for CPUs: {levels}; for NVIDIA GPUs: sm_75, sm_120"
    monkeypatch.setattr(backend, "kernel_architectures", lambda: ())
    assert "for NVIDIA GPUs: none (no nvcc was found; make install CUDA=1" in backend.what_was_built()
    monkeypatch.setattr(backend, "native", None)
    assert backend.what_was_built().startswith("Kernels: none; ")


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc: CUDA kernels cannot be built here")
@pytest.mark.skipif(os.environ.get("CDIPIPE_CUDA", "AUTO") == "OFF", reason="CUDA kernels were switched off")
def test_cuda_code_for_many_architectures_is_inside():
    built = backend.describe()["cuda_architectures"]
    newer_or_older = {"sm_75", "sm_100", "sm_120"}  # not every nvcc knows them
    assert {"sm_80", "sm_90"} <= set(built) <= {"sm_80", "sm_90", *newer_or_older}
    with open(backend.native.__file__, "rb") as file:
        content = file.read()
    for kernel in (b"project_modulus_kernel", b"update_object_kernel", b"project_modulus_backward_kernel"):
        assert kernel in content
    tool = shutil.which("cuobjdump")
    if tool:
        listing = subprocess.run([tool, "--list-elf", backend.native.__file__], capture_output=True, text=True).stdout
        assert all(name in listing for name in built)


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="threads are counted in /proc")
def test_kernels_obey_torch_in_every_thread():
    """OpenMP's setting is per thread; torch.set_num_threads is meant for all of them."""
    code = """
import os, threading, torch
from cdipipe.ops.projection import update_object_
torch.set_num_threads(1)
u, support = torch.zeros(512, 512, dtype=torch.complex64), torch.ones(512, 512, dtype=torch.bool)
def work():
    before = len(os.listdir("/proc/self/task"))
    update_object_(u, u, support, a=1.0, b=-0.9, c=0.0, g=0.0)
    print(len(os.listdir("/proc/self/task")) - before)
worker = threading.Thread(target=work)
worker.start()
worker.join()
"""
    done = python(code, OMP_NUM_THREADS="4")
    assert done.stdout.strip() == "0", done.stdout + done.stderr


@pytest.mark.parametrize("level", backend.describe().get("simd_available", []))
def test_instruction_sets_agree(level):
    """Every level compiled into the extension gives the reference's numbers."""
    before = backend.native.simd_level()
    generator = torch.Generator().manual_seed(1)
    wave = torch.randn(3, 67, 131, dtype=torch.complex64, generator=generator)
    modulus, mask = torch.rand(67, 131, generator=generator), torch.rand(67, 131, generator=generator) > 0.3
    rule = {"a": 0.9, "b": -0.8, "c": 0.9, "g": 1.0}
    try:
        backend.native.set_simd_level(level)
        projected, error = projection.project_modulus(wave, modulus, mask)
        updated = projection.update_object(wave, projected, mask, "phase_range", **rule)
    finally:
        backend.native.set_simd_level(before)
    wanted, wanted_error = projection.reference_project_modulus(wave, modulus, mask)
    torch.testing.assert_close(projected, wanted, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(error, wanted_error, rtol=1e-5, atol=0)
    wanted = projection.reference_update_object(wave, wanted, mask, "phase_range", **rule)
    torch.testing.assert_close(updated, wanted, rtol=1e-5, atol=1e-5)
