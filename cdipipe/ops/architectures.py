"""Which compiled code runs on which NVIDIA GPU, by the rules of CUDA."""

from __future__ import annotations

from collections.abc import Sequence


def kernels_run_on(capability: int, architectures: Sequence[str]) -> bool:
    """Whether kernels that were built for these run on a GPU; the newest is PTX, too, which later GPUs translate.

    Parameters
    ----------
    capability : 90 for sm_90
    """
    return runs_on(capability, [*architectures, f"compute_{max(map(number_of, architectures), default=1000)}"])


def number_of(architecture: str) -> int:
    """Number of an architecture: sm_90a -> 90."""
    return int("".join(filter(str.isdigit, architecture)) or 0)


def runs_on(capability: int, architectures: Sequence[str]) -> bool:
    """Whether code for these architectures runs on a GPU: ``sm_86`` on 8.6 and later 8.x, ``compute_86`` on all later.

    Parameters
    ----------
    capability : 86 for 8.6; 0 where it is not known, which counts as yes
    """
    if not capability:
        return True
    for name in architectures:
        number = number_of(name)
        same = number // 10 == capability // 10
        if (
            number <= capability
            and (same or name.startswith("compute_"))
            and (name[-1].isdigit() or number == capability)
        ):
            return True
    return False
