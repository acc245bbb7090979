"""What ``cdipipe evaluate`` writes: metrics.json, which ends in a checksum of all before it, and curves.npz."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.inputs import check_readable
from cdipipe.io.atomic import atomic_path
from cdipipe.io.hdf5 import READ_FAULTS, faults_are_input_errors

KEY = "checksum"
AGAIN = "remove it and run the workflow, or `cdipipe evaluate`, again"

END_BYTES = 22
"""Length of the record at the end of a zip archive; how many members there are stands at its byte 10."""


def write_metrics(path: str | Path, metrics: dict[str, float | str]) -> None:
    """Write a flat mapping of metrics whole or not at all, with the SHA-256 of its text as last entry."""
    head = json.dumps(metrics, indent=2, allow_nan=False).removesuffix("\n}").removesuffix("}")
    text = head + ("," if metrics else "")
    with atomic_path(path) as part:
        part.write_text(f'{text}\n  "{KEY}": "{_digest(text.encode())}"\n}}\n', encoding="utf-8")


def read_metrics(path: str | Path) -> dict:
    """The flat mapping of a metrics.json without its checksum; of a file that has none (another program's) as it is.

    Raises
    ------
    InputError   missing, damaged, or something else
    """
    content = _bytes(Path(path))
    head, found, tail = content.rpartition(f'\n  "{KEY}": "'.encode())
    if found and tail != f'{_digest(head)}"\n}}\n'.encode():
        raise InputError(f"{path}: damaged, its content does not fit its checksum; {AGAIN}")
    try:
        metrics = json.loads(content)
    except ValueError as error:
        raise InputError(f"{path}: not JSON; expected the metrics.json of `cdipipe evaluate`") from error
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: expected a mapping of metrics; got {type(metrics).__name__}")
    if not found and re.search(rb'"[0-9a-f]{64}"\s*}\s*$', content):  # the damage is in the name of the checksum
        raise InputError(f"{path}: damaged, its checksum has lost its name; {AGAIN}")
    metrics.pop(KEY, None)
    return metrics


def read_curves(path: str | Path) -> dict[str, np.ndarray]:
    """Arrays of a curves.npz by name; the archive's own checksums are looked at.

    Raises
    ------
    InputError   missing, damaged, or something else
    """
    end = _bytes(Path(path))[-END_BYTES:]
    wrong = "not a .npz file, or damaged; expected the curves of `cdipipe evaluate`"
    with faults_are_input_errors(path, wrong, (*READ_FAULTS, zipfile.BadZipFile)), np.load(path) as stored:
        if len(stored) != int.from_bytes(end[10:12], "little"):  # a damaged directory can lose a member
            raise ValueError("its directory does not name all of its members")
        return dict(stored)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        check_readable(path)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path}: missing; run the workflow that makes it first") from error
