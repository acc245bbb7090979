"""Why GPUs are not used, each in one line with the command that cures it; told from facts alone."""

from __future__ import annotations

from dataclasses import dataclass

from cdipipe.ops.architectures import kernels_run_on, number_of, runs_on
from cdipipe.ops.gpus import Facts, Gpu

OLDEST_DRIVER = {11: 450, 12: 525, 13: 580}
"""Of a version of CUDA, https://docs.nvidia.com/cuda/cuda-toolkit-release-notes; minor versions share it."""
OLDER_TORCH = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu126"
PLAIN_TORCH = "pip install --force-reinstall torch --index-url https://download.pytorch.org/whl/cu130"
KERNELS = "make install CUDA=1"


@dataclass(frozen=True)
class Fault:
    """Something that keeps GPUs from being used.

    Parameters
    ----------
    reason : in words
    cure : a command, or what to do
    lost : whether there is a GPU that could work
    """

    reason: str
    cure: str
    lost: bool = True

    def __str__(self) -> str:
        return f"{self.reason}; {self.cure}"


def why_not(facts: Facts) -> Fault | None:
    """Why torch cannot compute on a GPU here; None if it can, as far as the facts tell."""
    return _no_driver(facts) or _hidden(facts) or _torch_for_cpus(facts) or _old_driver(facts) or _not_built(facts)


def why_no_kernels(facts: Facts) -> Fault | None:
    """Why cdipipe's own kernels do not run on the GPUs, which then do with torch's, slower; None if they do."""
    if not facts.usable():
        return None
    if not facts.kernels:
        return Fault("cdipipe's compiled extension is missing, and its CUDA kernels with it", KERNELS)
    if not facts.kernel_architectures:
        return Fault("cdipipe's CUDA kernels were not built: no nvcc was found when it was installed", KERNELS)
    for gpu in facts.usable():
        if not kernels_run_on(gpu.capability, facts.kernel_architectures):
            built = ", ".join(facts.kernel_architectures)
            return Fault(f"cdipipe's CUDA kernels were built for {built}; {gpu.name} is sm_{gpu.capability}", KERNELS)
    return None


def _no_driver(facts: Facts) -> Fault | None:
    if facts.gpus:
        return None
    if facts.complaint:
        repair = "repair the driver until `nvidia-smi` lists it"
        return Fault(f"nvidia-smi lists no GPU: {facts.complaint}", repair, lost=facts.cards > 0)
    if facts.cards:
        return Fault(
            "an NVIDIA card is there, but no driver", "apt-get install nvidia-driver, or as your system has it"
        )
    return Fault("there is no NVIDIA GPU and no driver here", "nothing to do on a computer without one", lost=False)


def _hidden(facts: Facts) -> Fault | None:
    if facts.usable():
        return None
    return Fault(f"CUDA_VISIBLE_DEVICES='{facts.visible}' hides every GPU", "unset CUDA_VISIBLE_DEVICES", lost=False)


def _torch_for_cpus(facts: Facts) -> Fault | None:
    if facts.torch_cuda:
        return None
    newest = _major(facts.driver) >= OLDEST_DRIVER[13]
    return Fault(f"torch {facts.torch} is built for CPUs only", PLAIN_TORCH if newest else OLDER_TORCH)


def _old_driver(facts: Facts) -> Fault | None:
    needed = OLDEST_DRIVER.get(_major(facts.torch_cuda), 0)
    if not facts.driver or _major(facts.driver) >= needed:
        return None
    reason = (
        f"driver {facts.driver} is too old for torch {facts.torch} with CUDA {facts.torch_cuda}, which needs {needed}"
    )
    return Fault(reason, f"update the driver, or {OLDER_TORCH}")


def _not_built(facts: Facts) -> Fault | None:
    """Torch must have code for every GPU that is to be used."""
    missing: list[Gpu] = [g for g in facts.usable() if not runs_on(g.capability, facts.torch_architectures)]
    if not facts.torch_architectures or not missing:
        return None
    gpu = missing[0]
    older = gpu.capability < min(map(number_of, facts.torch_architectures))
    reason = f"torch {facts.torch} has no code for {gpu.name} (sm_{gpu.capability})"
    return Fault(reason, OLDER_TORCH if older else "pip install --upgrade torch")


def _major(version: str | None) -> int:
    head = (version or "").split(".")[0]
    return int(head) if head.isdigit() else 0
