"""Damages files of the writers in ``writers/`` and imports them; one JSON line per command on stdout.

``python fuzz_writers.py FOLDER FIRST COUNT [WRITER ...]``: seeds FIRST to FIRST + COUNT - 1 of every writer.
"""

from __future__ import annotations

import faulthandler
import json
import os
import resource
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import mutations
import writers
from fuzz_worker import ADDRESS_SPACE_BYTES, run_command


def arguments_of(written: writers.Written) -> list[str]:
    options = {"stack": "shots", **written.options}
    shown = {name: ",".join(map(str, value)) if isinstance(value, tuple) else value for name, value in options.items()}
    return [*written.names, *(f"--{name}={value}" for name, value in shown.items())]


def main() -> None:
    folder, first, count, names = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    os.environ["CDIPIPE_MAX_GIB"] = "0.25"
    frames = writers.made_up_frames()
    for name in names or writers.WRITERS:
        place = folder / name
        place.mkdir()
        written = writers.WRITERS[name](place, frames)
        valid = written.main.read_bytes()
        before = sorted(str(path) for path in place.rglob("*"))
        commands = {
            "import": ["import", *arguments_of(written), "-o", str(place / "out.cxi")],
            "info": ["info", str(written.main)],
        }
        for seed in range(first, first + count):
            written.main.write_bytes(mutations.mutate(valid, np.random.default_rng([seed, *name.encode()])))
            for command, arguments in commands.items():
                known = {"kind": name, "seed": seed, "command": command}
                print(json.dumps({**known, "started": True}), flush=True)
                result = run_command(arguments)
                result["left"] = sorted(Path(p).name for p in {str(p) for p in place.rglob("*")} - set(before))
                print(json.dumps({**known, **result}), flush=True)
                (place / "out.cxi").unlink(missing_ok=True)
        shutil.rmtree(place)


if __name__ == "__main__":
    main()
