"""SPEC and FIO text by silx, in a process of its own: on files that are cut off its parser may crash or never end.

``python -m cdipipe.io.importing.scan_text spec FILE [SCAN]`` prints one line of JSON.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError

LONGEST_S = 120
PACKAGES = Path(__file__).parents[3]


def read_scan_text(kind: str, path: Path, number: int | None) -> dict[str, Any]:
    """Motors, columns, command and headers of one scan, as plain data.

    Parameters
    ----------
    kind : ``spec`` or ``fio``
    number : of the scan; None where there is one

    Returns
    -------
    dict with ``motors`` (name -> number), ``columns`` (name -> list), ``command``, ``headers`` (name -> text) and
    ``number``

    Raises
    ------
    InputError   damaged, or no such scan
    """
    words = [sys.executable, "-P", "-m", __name__, kind, str(path), *([] if number is None else [str(number)])]
    paths = [str(PACKAGES), *filter(None, [os.environ.get("PYTHONPATH")])]
    surroundings = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    try:
        done = subprocess.run(words, capture_output=True, timeout=LONGEST_S, stdin=subprocess.DEVNULL, env=surroundings)
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise InputError(f"{path}: not readable as a {kind.upper()} file: damaged, or cut off in a scan") from None
    if "complaint" in answer:
        raise InputError(answer["complaint"])
    return answer


def _plain(values: np.ndarray) -> list[float]:
    """Numbers as JSON has them: those that are not finite become null."""
    return [value if math.isfinite(value) else None for value in np.atleast_1d(values).astype(float).tolist()]


def read_spec(path: Path, number: int | None) -> dict[str, Any]:
    """One scan of a SPEC file, motors by their long and short names."""
    from silx.io.specfile import SpecFile

    file = SpecFile(str(path))
    scan = file[_spec_key(file.keys(), number, path)]
    places = _plain(np.asarray(scan.motor_positions))
    motors = dict(zip(scan.motor_names, places, strict=False))
    motors |= dict(zip(_mnemonics(scan.file_header_dict), places, strict=False))
    columns = {} if not scan.labels else dict(zip(scan.labels, map(_plain, scan.data), strict=False))
    command = scan.scan_header_dict.get("S", "").strip().partition(" ")[2].strip()  # after the scan's number
    headers = dict(scan.scan_header_dict)
    return {"motors": motors, "columns": columns, "command": command, "headers": headers, "number": scan.number}


def _spec_key(keys: list[str], number: int | None, path: Path) -> str:
    """``54.1``; of a number that was used twice, the last."""
    numbers = list(dict.fromkeys(int(key.partition(".")[0]) for key in keys))
    if number is None and len(numbers) != 1:
        raise InputError(f"{path}: holds {len(numbers)} scans ({few(numbers)}); say which with --scan")
    number = numbers[0] if number is None else number
    found = [key for key in keys if key.partition(".")[0] == str(number)]
    if not found:
        raise InputError(f"--scan {number}: {path} has no such scan; there are {few(numbers)}")
    return found[-1]


def few(numbers: Sequence[int | str]) -> str:
    """The first of a list, for messages."""
    return (", ".join(map(str, numbers[:8])) + (", ..." if len(numbers) > 8 else "")) if numbers else "none"


def _mnemonics(headers: Mapping[str, str]) -> list[str]:
    rows = sorted((key for key in headers if re.fullmatch(r"o\d+", key)), key=lambda key: int(key[1:]))
    return " ".join(headers[key] for key in rows).split()


def read_fio(path: Path, number: int | None) -> dict[str, Any]:
    """The scan of a FIO file."""
    from silx.io.fioh5 import FioFile

    text = path.read_text(errors="replace")
    if "d" not in re.findall(r"^%([a-z])\s*$", text, re.MULTILINE):  # silx would read on for ever
        raise InputError(f"{path}: not readable as a FIO file (no data section %d)")
    file = FioFile(str(path))
    names = [name for name in file.data.dtype.names or () if file.data.dtype[name].kind in "iufb"]
    headers = {name.strip(): value.strip() for name, value in file.parameter.items()}
    motors = {name: number for name, value in headers.items() if (number := _number(value)) is not None}
    columns = {name: _plain(file.data[name]) for name in names}
    return {"motors": motors, "columns": columns, "command": _fio_command(text), "headers": headers, "number": None}


def _number(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return value if math.isfinite(value := float(text)) else None
    return None


def _fio_command(text: str) -> str:
    """The line of the comment that begins with a scan command."""
    comment = re.search(r"^%c\s*$(.*?)^[%!]", text, re.MULTILINE | re.DOTALL)
    lines = comment.group(1).splitlines() if comment else []
    return next((line.strip() for line in lines if re.match(r"\s*\w*(scan|mesh)\b", line)), "")


READERS = {"spec": read_spec, "fio": read_fio}


def main(kind: str, name: str, number: str | None = None) -> None:
    """Read in this process; what libraries print goes nowhere, so that the answer is all of the output."""
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    path = Path(name)
    try:
        found = READERS[kind](path, None if number is None else int(number))
    except InputError as error:
        found = {"complaint": str(error)}
    except Exception as error:  # whatever silx raises on a damaged file
        found = {"complaint": f"{path}: not readable as a {kind.upper()} file ({' '.join(str(error).split())[:200]})"}
    with open(answer, "w", encoding="utf-8") as out:
        json.dump(found, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
