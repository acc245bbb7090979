"""Runs commands on damaged files in a process of its own, so that a crash of a C library is seen as such.

``python fuzz_worker.py FOLDER FIRST_SEED COUNT FORMAT...`` prints JSON lines; format and seed alone decide the damage.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import mutations

SECONDS_PER_COMMAND = 60
ADDRESS_SPACE_BYTES = 8 * 2**30


def run_command(arguments: list[str]) -> dict:
    """Exit code, stderr and time of one command; an exception that escapes is recorded."""
    from cdipipe.cli.main import run

    out, err, escaped, code = io.StringIO(), io.StringIO(), "", None
    started = time.monotonic()
    faulthandler.dump_traceback_later(SECONDS_PER_COMMAND, exit=True)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = run(arguments)
        except BaseException:
            escaped = traceback.format_exc()
    faulthandler.cancel_dump_traceback_later()
    return {"code": code, "err": err.getvalue(), "escaped": escaped, "seconds": time.monotonic() - started}


def commands_for(kind: str, file: Path, output: Path) -> dict[str, list[str]]:
    """What is tried on a file: it is shown, and turned into something."""
    if kind == "yaml":  # the recipe is judged before the measurement is looked for, which is not there
        return {"recipe": ["reconstruct", "absent.cxi", "--recipe", str(file), "-o", str(output)]}
    commands = {"info": ["info", str(file)]}
    if kind != "reconstruction":
        commands["import"] = ["import", str(file), "-o", str(output)]
    if kind == "cxi":
        commands["reconstruct"] = ["reconstruct", str(file), "-m", "er", "--set", "iterations=2", "-o", str(output)]
    return commands


def main() -> None:
    folder, first, count, kinds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    os.environ["CDIPIPE_MAX_GIB"] = "0.25"
    for kind in kinds:
        valid = folder / f"valid.{mutations.suffix_of(kind)}"
        mutations.write_valid(valid, kind, mutations.counts(np.random.default_rng(0)))
        for seed in range(first, first + count):
            file = folder / f"seed{seed}.{mutations.suffix_of(kind)}"
            file.write_bytes(mutations.mutate(valid.read_bytes(), np.random.default_rng([seed, *kind.encode()])))
            output = folder / "out.cxi"
            for name, arguments in commands_for(kind, file, output).items():
                print(json.dumps({"kind": kind, "seed": seed, "command": name, "started": True}), flush=True)
                result = run_command(arguments)
                result["left"] = sorted(p.name for p in folder.iterdir() if p not in (valid, file))
                print(json.dumps({"kind": kind, "seed": seed, "command": name, **result}), flush=True)
                output.unlink(missing_ok=True)
            file.unlink()
        valid.unlink()


if __name__ == "__main__":
    main()
