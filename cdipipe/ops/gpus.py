"""What there is of NVIDIA GPUs, driver and builds, as plain facts; gathered without torch as far as that goes.

The list of GPUs is that of ``nvidia-smi``, which asks the driver and starts no CUDA context, so that
``CUDA_VISIBLE_DEVICES`` can still be set afterwards.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

NVIDIA_VENDOR, DISPLAY_CLASS = "0x10de", "0x03"
"""Of the PCI bus: a graphics card or accelerator of NVIDIA."""
SMI_TIMEOUT_S = 30
DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")
"""One of them is there where a driver is, on Linux and on its subsystem for Windows."""
QUERY = "index,uuid,name,compute_cap,memory.total,driver_version"


@dataclass(frozen=True)
class Gpu:
    """One GPU.

    Parameters
    ----------
    index : as ``nvidia-smi`` counts
    uuid : by which ``CUDA_VISIBLE_DEVICES`` can name it
    capability : 90 for sm_90; 0 where it is not known
    """

    index: int
    uuid: str
    name: str
    capability: int = 0
    memory_mib: int = 0

    def __str__(self) -> str:
        known = [f"sm_{self.capability}"] * bool(self.capability) + [f"{self.memory_mib / 1024:.0f} GiB"] * bool(
            self.memory_mib
        )
        return f"{self.index}: {self.name}" + (f" ({', '.join(known)})" if known else "")


@dataclass(frozen=True)
class Facts:
    """What decides whether GPUs can be used.

    Parameters
    ----------
    cards : NVIDIA cards on the PCI bus
    gpus : what the driver lists, before ``CUDA_VISIBLE_DEVICES``
    driver : its version
    complaint : what ``nvidia-smi`` said instead of a list
    visible : ``CUDA_VISIBLE_DEVICES``
    torch : version
    torch_cuda : version of CUDA that torch was built with; None: for CPUs only
    torch_architectures : what it has code for, such as ``sm_90`` and ``compute_90``; empty: not asked
    kernels : whether cdipipe's extension is there
    kernel_architectures : what its CUDA kernels were built for; empty: without them
    """

    cards: int = 0
    gpus: tuple[Gpu, ...] = ()
    driver: str | None = None
    complaint: str | None = None
    visible: str | None = None
    torch: str = ""
    torch_cuda: str | None = None
    torch_architectures: tuple[str, ...] = ()
    kernels: bool = False
    kernel_architectures: tuple[str, ...] = ()

    def usable(self) -> tuple[Gpu, ...]:
        """GPUs that this process may see, in the order of ``CUDA_VISIBLE_DEVICES``."""
        if self.visible is None:
            return self.gpus
        found = []
        for word in filter(None, map(str.strip, self.visible.split(","))):
            gpu = self._named(word)
            if gpu is None:  # CUDA, too, stops at the first that is not there
                break
            found.append(gpu)
        return tuple(found)

    def _named(self, word: str) -> Gpu | None:
        if word.startswith("MIG-"):
            return replace(self.gpus[0], uuid=word, name=f"a part of {self.gpus[0].name}") if self.gpus else None
        by_number = word.isdigit()
        return next((g for g in self.gpus if (g.index == int(word) if by_number else g.uuid.startswith(word))), None)


@functools.cache
def facts() -> Facts:
    """Of this computer and this environment, gathered once. Where there is no GPU torch is not loaded."""
    gpus, driver, complaint = _ask_driver()
    version, cuda = _torch_build()
    if not gpus and not complaint and cuda and any(map(os.path.exists, DEVICE_FILES)):
        gpus = _ask_torch()
    found = Facts(_cards(), gpus, driver, complaint, os.environ.get("CUDA_VISIBLE_DEVICES"), version, cuda)
    if not gpus:
        return found
    from cdipipe.ops import backend

    kernels = backend.kernel_architectures()
    architectures = _torch_architectures() if cuda else ()
    built = backend.native is not None
    return replace(found, torch_architectures=architectures, kernels=built, kernel_architectures=kernels)


def _ask_driver() -> tuple[tuple[Gpu, ...], str | None, str | None]:
    """GPUs, version of the driver, and what ``nvidia-smi`` complains of."""
    program = shutil.which("nvidia-smi") or shutil.which("/usr/lib/wsl/lib/nvidia-smi")
    if program is None:
        return (), _driver_of_kernel(), None
    command = [program, f"--query-gpu={QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SMI_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return (), _driver_of_kernel(), f"{type(error).__name__}: {program}"
    rows = [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines()]
    rows = [row for row in rows if len(row) == 6 and row[0].isdigit()]
    if done.returncode or not rows:
        return (), _driver_of_kernel(), " ".join((done.stdout + done.stderr).split())[:200] or "it lists no GPU"
    gpus = [Gpu(int(row[0]), row[1], row[2], _number(row[3]), _number(row[4])) for row in rows]
    return tuple(gpus), rows[0][5], None


ASK_TORCH = """
import torch
for index in range(torch.cuda.device_count()):
    found = torch.cuda.get_device_properties(index)
    print(index, found.major * 10 + found.minor, found.total_memory >> 20, f"GPU-{found.uuid}", found.name)
"""


def _ask_torch() -> tuple[Gpu, ...]:
    """GPUs as torch sees them where there is no ``nvidia-smi``; in a process of its own, which starts CUDA."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    command = [sys.executable, "-c", ASK_TORCH]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    rows = [line.split(" ", 4) for line in done.stdout.splitlines() if line.count(" ") > 3]
    return tuple(Gpu(int(row[0]), row[3], row[4], int(row[1]), int(row[2])) for row in rows)


def _number(text: str) -> int:
    """9.0 -> 90; what is not known is 0."""
    digits = text.replace(".", "")
    return int(digits) if digits.isdigit() else 0


def _driver_of_kernel() -> str | None:
    """Version of the driver that the Linux kernel has loaded."""
    try:
        found = re.search(r"(\d{3}\.\d+[\d.]*)", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return None
    return found[1] if found else None


def _cards(bus: Path = Path("/sys/bus/pci/devices")) -> int:
    """NVIDIA cards on the PCI bus."""

    def says(device: Path, file: str) -> str:
        try:
            return (device / file).read_text().strip()
        except OSError:
            return ""

    devices = bus.iterdir() if bus.is_dir() else ()
    return sum(says(d, "vendor") == NVIDIA_VENDOR and says(d, "class").startswith(DISPLAY_CLASS) for d in devices)


def _torch_build() -> tuple[str, str | None]:
    """Version of torch, and of the CUDA that it was built with; torch itself is not loaded."""
    place = importlib.util.find_spec("torch")
    if place is None or place.origin is None:
        return "", None
    text = (Path(place.origin).parent / "version.py").read_text()
    version = re.search(r"^__version__ = '([^']+)'", text, re.M)
    cuda = re.search(r"^cuda: .* = '([^']+)'", text, re.M)
    return version[1] if version else "", cuda[1] if cuda else None


def _torch_architectures() -> tuple[str, ...]:
    import torch

    flags = torch._C._cuda_getArchFlags()  # torch.cuda.get_arch_list() is empty where no GPU can be used
    return tuple(flags.split()) if flags else ()
