"""CUDA source to C++ for g++: launches and shared arrays, which no macro can stand for, become calls of runtime.h."""

from __future__ import annotations

import re

KERNEL = re.compile(r"__global__\s+void\s+(?:__launch_bounds__\(([^()]*)\)\s*)?(\w+)\s*\(")
LAUNCH = re.compile(r"(\w+)\s*(<(?:[^<>]|<[^<>]*>)*>)?\s*<<<(.*?)>>>", re.DOTALL)
SHARED = re.compile(r"(?<!extern )__shared__\s+([\w:]+)\s+(\w+)((?:\[[^\]]+\])*)\s*;")
DYNAMIC = re.compile(r"extern\s+__shared__\s+([\w:]+)\s+(\w+)\[\]\s*;")


def kernels(source: str) -> dict[str, str]:
    """Name of each kernel in a source, and the C++ expression of the most threads that it is compiled for."""
    return {name: bound or "1024" for bound, name in KERNEL.findall(source)}


def rewrite(source: str, file: str) -> str:
    """The same in C++; lines keep their numbers, and ``file`` is what messages call it.

    Raises
    ------
    ValueError   something of CUDA that this does not know is left
    """
    bounds = kernels(source)

    def launch(match: re.Match) -> str:
        name, template, configuration = match[1], match[2] or "", match[3]
        return f'::cuda_on_cpu::launch({{"{name}", {bounds[name]}}}, {{{configuration}}}, {name}{template})'

    def shared(match: re.Match) -> str:
        kind, name = match[1] + match[3], match[2]
        storage = f"static ::cuda_on_cpu::Shared<{kind}> {name}_of_blocks;"
        return f"{storage} auto& {name} = {name}_of_blocks.of_this_block();"

    text = LAUNCH.sub(launch, source)
    text = DYNAMIC.sub(r"auto* \2 = static_cast<\1*>(::cuda_on_cpu::dynamic_shared());", text)
    text = SHARED.sub(shared, text)
    for left in ("<<<", "__shared__"):
        if left in text:
            raise ValueError(f"{file}: a use of {left} that rewrite.py does not know")
    return f'#line 1 "{file}"\n{text}'
