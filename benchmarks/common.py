"""What the benchmarks share: where they ran, work timed in turns, one JSON file per result, one command line."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
SEQUENCE = "3*(20*ER+180*HIO)+20*ER"
"""620 iterations, as they are usual at beamlines."""


class Part(NamedTuple):
    """One benchmark of a file of several: what it does, the record that it writes, and how often it repeats."""

    measure: Callable[[int], dict]
    record: str
    count: int = 1


def machine() -> dict:
    """Processor, threads, versions and commit, as plain data."""
    import numpy
    import torch

    import cdipipe
    from cdipipe.ops import backend

    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    cpu = platform.processor()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "simd": torch.backends.cpu.get_cpu_capability(),
        "backend": backend.name(torch.device("cpu")),
        "versions": {"cdipipe": cdipipe.__version__, "torch": torch.__version__, "numpy": numpy.__version__},
        "commit": commit.stdout.strip(),
    }


def write(name: str, result: Mapping[str, Any], output: Path | None = None) -> Path:
    """Write ``{machine, ...result}`` to benchmarks/results/NAME.json (or ``output``) and return the path."""
    path = output or RESULTS / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), **result}, indent=1) + "\n")
    return path


def read(name: str) -> dict:
    """A record; empty where there is none yet."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def kept(file: Path | None, make: Callable[[], dict]) -> dict:
    """What ``make`` gives, or gave before: the file, if there is one, keeps it."""
    if file is not None and file.exists():
        return json.loads(file.read_text(encoding="utf-8"))
    found = make()
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found), encoding="utf-8")
    return found


def alternate(
    variants: Mapping[str, Callable[[], Any]],
    seconds: float,
    turns: int = 1,
    warm: int = 0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Call the variants in turn for about so many seconds, each at least five times; seconds of every call.

    Parameters
    ----------
    turns, warm : so many calls of one variant in a row, of which the first are not timed
    clock : what a call's seconds are read from
    """
    times: dict[str, list[float]] = {name: [] for name in variants}
    for call in variants.values():
        call()
    start = time.perf_counter()
    while time.perf_counter() - start < seconds or min(map(len, times.values())) < 5:
        for name, call in variants.items():
            for turn in range(turns):
                before = clock()
                call()
                if turn >= warm:
                    times[name].append(clock() - before)
    return times


def milliseconds(times: Mapping[str, list[float]]) -> dict[str, float]:
    """Median of each variant."""
    return {f"{name}_ms": round(statistics.median(values) * 1e3, 4) for name, values in times.items()}


def ratio(times: Mapping[str, list[float]], over: str, under: str) -> float:
    """Median of the ratios of neighbouring calls: slow drifts of the machine cancel."""
    return round(statistics.median(a / b for a, b in zip(times[over], times[under], strict=True)), 3)


def ratio_of_fastest(times: Mapping[str, list[float]], over: str, under: str) -> float:
    """The fastest call over the fastest: what means most on a busy machine."""
    return round(min(times[over]) / min(times[under]), 3)


def processor_seconds(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it returns, and the processor time of this process that it took."""
    began = time.process_time()
    found = work()
    return found, time.process_time() - began


def parser_of(doc: str) -> argparse.ArgumentParser:
    """A command line with a benchmark's text and ``-o FILE``."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="instead of benchmarks/results")
    return parser


def run_all(doc: str, record: str, parts: Mapping[str, Callable[[], dict]]) -> None:
    """All parts, or those that are named, into one record, which keeps its other parts."""
    parser = parser_of(doc)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"any of {', '.join(parts)}; default: all")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(parts):
        parser.error(f"unknown part {sorted(unknown)}")
    result = {name: found for name, found in read(record).items() if name in parts}
    result |= {"load_before": os.getloadavg()}
    for name in arguments.parts or parts:
        print(name, flush=True)
        result[name] = parts[name]()
        print(result[name], write(record, result | {"load_after": os.getloadavg()}, arguments.output), flush=True)


def run_one(doc: str, parts: Mapping[str, Part]) -> None:
    """The part that is named, into its record."""
    parser = parser_of(doc)
    parser.add_argument("what", choices=list(parts))
    parser.add_argument("--count", type=int, help="repetitions, patterns, starts or seconds")
    arguments = parser.parse_args()
    part = parts[arguments.what]
    result = {"load_before": os.getloadavg(), **part.measure(arguments.count or part.count)}
    print(write(part.record, result, arguments.output))
