"""The one place that chooses who computes: native CPU code, native CUDA code or the PyTorch reference.

Environment
-----------
CDIPIPE_BACKEND=auto|native|reference
    ``auto`` (default) takes compiled code where it exists; ``native`` refuses to fall back;
    ``reference`` never uses it.
CDIPIPE_REQUIRE_NATIVE=1
    A missing extension is an ImportError instead of a slower run.
CDIPIPE_SIMD=baseline|avx2|avx512
    Instruction set of the CPU kernels, read by the extension; default: the best of this processor.
"""

from __future__ import annotations

import functools
import logging
import os
from contextlib import contextmanager
from typing import Any

from cdipipe.errors import InputError

logger = logging.getLogger(__name__)

CHOICES = ("auto", "native", "reference")

try:
    from cdipipe import _native as native
except ImportError as error:
    if os.environ.get("CDIPIPE_REQUIRE_NATIVE", "0") not in ("", "0"):
        raise ImportError(
            f"CDIPIPE_REQUIRE_NATIVE is set, but cdipipe._native cannot be imported: {error}; "
            "build it with 'pip install -e .' in the repository"
        ) from error
    native = None
    _import_error: str | None = str(error)
else:
    _import_error = None


def _read_choice() -> str:
    choice = os.environ.get("CDIPIPE_BACKEND", "auto") or "auto"
    if choice not in CHOICES:
        raise InputError(f"CDIPIPE_BACKEND: got '{choice}'; allowed: {', '.join(CHOICES)}")
    return choice


_choice = _read_choice()


@contextmanager
def use(choice: str):
    """Choose the backend for the length of a ``with`` block (tests, benchmarks): auto, native or reference."""
    global _choice
    if choice not in CHOICES:
        raise ValueError(f"backend: got '{choice}'; allowed: {', '.join(CHOICES)}")
    before, _choice = _choice, choice
    try:
        yield
    finally:
        _choice = before


def has_native(device_type: str) -> bool:
    """Is there compiled code for ``cpu`` or ``cuda`` tensors that runs here?"""
    if native is None:
        return False
    return device_type == "cpu" or (device_type == "cuda" and why_no_cuda() is None)


def kernel_architectures() -> tuple[str, ...]:
    """What the CUDA kernels were built for, such as ``sm_90``; empty without them."""
    if native is None:
        return ()
    return tuple(f"sm_{number}" for number in native.cuda_architectures().split(",") if number)


@functools.cache
def why_no_cuda() -> str | None:
    """Why the CUDA kernels cannot run here: not built, no device, a driver too old for them, or no code for the GPU."""
    if native is None:
        return _import_error
    if not native.cuda_compiled():
        return "the extension was built without CUDA (no working nvcc was found)"
    count, message = native.cuda_devices()
    if count == 0:
        return message
    import torch

    from cdipipe.ops.architectures import kernels_run_on

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    built = kernel_architectures()
    if kernels_run_on(10 * major + minor, built):
        return None
    return f"they were built for {', '.join(built)}; {torch.cuda.get_device_name()} is sm_{major}{minor}"


def use_native(device_type: str) -> bool:
    """Should a complex64 tensor on this device go to compiled code?

    Raises
    ------
    RuntimeError
        CDIPIPE_BACKEND=native, but there is no compiled code for the device.
    """
    if _choice == "reference":
        return False
    if has_native(device_type):
        return True
    if _choice == "native":
        raise RuntimeError(
            f"CDIPIPE_BACKEND=native, but no compiled kernels for '{device_type}': {_why_not(device_type)}"
        )
    return False


def _why_not(device_type: str) -> str:
    return _import_error or (why_no_cuda() if device_type == "cuda" else None) or "there are none"


@functools.cache
def _log_once(device_type: str, text: str) -> None:
    level = logging.INFO if text.startswith("native") else logging.WARNING
    logger.log(level, "kernels on %s: %s", device_type, text)


def name(device: Any = "cpu") -> str:
    """Backend of a device in words for provenance: ``native-cpu (avx512)``, ``native-cuda`` or ``reference``."""
    device_type = str(getattr(device, "type", device)).split(":")[0]
    if not use_native(device_type):
        text = "reference"
    elif device_type == "cpu":
        text = f"native-cpu ({native.simd_level()})"
    else:
        text = "native-cuda"
    _log_once(device_type, text)
    return text


def what_was_built() -> str:
    """One line for the end of an installation."""
    if native is None:
        return f"Kernels: none; {_import_error}"
    cuda = ", ".join(kernel_architectures()) or "none (no nvcc was found; make install CUDA=1 brings one)"
    return f"Kernels for CPUs: {', '.join(native.simd_levels())}; for NVIDIA GPUs: {cuda}"


def describe() -> dict[str, Any]:
    """What was built and what would run, as plain data for ``cdipipe doctor``."""
    facts: dict[str, Any] = {"choice": _choice, "native_built": native is not None}
    if native is None:
        return facts | {"why": _import_error}
    import torch

    devices, why_none = native.cuda_devices()
    return facts | {
        "file": native.__file__,
        "simd": native.simd_level(),
        "simd_available": native.simd_levels(),
        "threads": torch.get_num_threads(),
        "cuda_compiled": native.cuda_compiled(),
        "cuda_architectures": list(kernel_architectures()),
        "cuda_devices": devices,
        "cuda_message": why_none,
    }
