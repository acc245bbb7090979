"""Builds ``_native`` with the CUDA kernels of csrc/ compiled by g++ for the CPU, beside the ordinary bindings."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from emulator.rewrite import rewrite

HERE = Path(__file__).parent
CSRC = HERE.parents[2] / "csrc"

WARNINGS = ("-Wall", "-Wextra", "-Wno-unknown-pragmas", "-Wno-unused-function", "-Wno-unused-parameter")
FLAGS = ("g++", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-DCDIPIPE_SIMD_NAMESPACE=baseline")
CUDA_FLAGS = (
    "-O2",
    "-g1",
    *WARNINGS,
    "-fsanitize=address,alignment,bounds,signed-integer-overflow",
    "-fno-sanitize-recover=all",
)
WITH_CUDA = ("-DCDIPIPE_WITH_CUDA", '-DCDIPIPE_CUDA_ARCHITECTURES="0"')


def includes() -> list[str]:
    import pybind11

    folders = (HERE / "include", CSRC, pybind11.get_include(), sysconfig.get_path("include"))
    return [f"-I{folder}" for folder in folders]


def newest_source() -> float:
    sources = [path for folder in (CSRC, HERE) for path in folder.rglob("*") if path.suffix in (".cpp", ".cu", ".h")]
    return max(path.stat().st_mtime for path in [*sources, HERE / "build.py", HERE / "rewrite.py"])


def run(*command: object) -> None:
    quiet = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    done = subprocess.run([str(word) for word in command], env=quiet, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stderr}")


def compile_cuda(source: Path, folder: Path, text: str | None = None) -> Path:
    """Object file of a .cu file, perhaps with another ``text``."""
    written = folder / f"{source.stem}.cu.cpp"
    written.write_text(rewrite(source.read_text() if text is None else text, str(source)))
    made = written.with_suffix(".o")
    run(*FLAGS, *CUDA_FLAGS, *WITH_CUDA, *includes(), f"-I{source.parent}", "-c", written, "-o", made)
    return made


def compile_cpp(source: Path, folder: Path) -> Path:
    made = folder / f"{source.stem}.o"
    flags = CUDA_FLAGS if source.parent == HERE else ("-O1",)
    run(*FLAGS, *flags, *WITH_CUDA, *includes(), "-c", source, "-o", made)
    return made


def link(objects: list[Path], made: Path) -> Path:
    run("g++", "-shared", "-fsanitize=address,undefined", *objects, "-o", made)
    return made


def objects(folder: Path) -> list[Path]:
    """Those of the whole module, once it was built."""
    return sorted(folder.glob("*.o"))


def build(folder: Path) -> Path:
    """The module, in ``folder`` with its objects; one that is newer than its sources stays."""
    module = folder / "_native.so"
    if module.exists() and module.stat().st_mtime > newest_source():
        return module
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    cuda, cpp = sorted(CSRC.rglob("*.cu")), [*sorted(CSRC.rglob("*.cpp")), HERE / "runtime.cpp"]
    with ThreadPoolExecutor(2) as pool:
        made = [pool.submit(compile_cuda, source, folder) for source in cuda]
        made += [pool.submit(compile_cpp, source, folder) for source in cpp]
        return link([one.result() for one in made], module)
