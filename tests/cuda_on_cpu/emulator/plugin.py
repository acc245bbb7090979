"""``pytest -p emulator.plugin``: tests of kernels run on CUDA kernels that were compiled for the CPU.

``CUDA_ON_CPU_MODULE`` names the module. Where is this tensor, a kernel's face asks; on the first GPU, is the answer.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from contextlib import nullcontext

import torch


def load_module():
    """Put the emulated kernels in the place of the package's own."""
    spec = importlib.util.spec_from_file_location("cdipipe._native", os.environ["CUDA_ON_CPU_MODULE"])
    module = sys.modules["cdipipe._native"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def say_cuda() -> None:
    """Replace the places that ask where a tensor is."""
    from cdipipe.ops import hexplane, projection, wpc

    stream = int(os.environ["CUDA_ON_CPU_STREAM"])

    def where(tensor):
        return 0, stream, nullcontext()

    projection.native.where = hexplane.native._where = where
    wpc.native._call = lambda kernel, like, *arguments: kernel(0, *arguments, stream)
    torch.Tensor.is_cpu = property(lambda tensor: False)


load_module()
say_cuda()
