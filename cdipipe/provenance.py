"""How a result came to be: command, versions, digests. Imports nothing heavy."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import shlex
import sys
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import cdipipe
from cdipipe.errors import InputError
from cdipipe.inputs import check_readable

PACKAGE_FOLDER = Path(cdipipe.__file__).parent


def file_sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as hexadecimal text; reads in pieces.

    Parameters
    ----------
    path : a regular file

    Raises
    ------
    InputError   a device, a pipe or a folder
    """
    check_readable(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@functools.cache
def code_digest() -> str:
    """First 16 hexadecimal digits of the SHA-256 of the package's Python sources."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE_FOLDER.rglob("*.py")):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(PACKAGE_FOLDER).as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Versions of cdipipe, Python, the libraries that are loaded, and the packages that plug-ins came from."""
    found = {"cdipipe": cdipipe.__version__, "python": platform.python_version()}
    for name in ("numpy", "scipy", "h5py", "torch", "skimage"):
        if name in sys.modules:
            found[name] = str(getattr(sys.modules[name], "__version__", None) or metadata.version(name))
    plugins = sys.modules.get("cdipipe.plugins")
    return found if plugins is None else found | plugins.in_use


def _command() -> str:
    program = Path(sys.argv[0]).name
    return shlex.join(["cdipipe" if program == "main.py" else program or "python", *sys.argv[1:]])


def _utc_time() -> str:
    """Now, or the moment given by ``SOURCE_DATE_EPOCH`` (reproducible-builds.org), in ISO 8601."""
    moment = os.environ.get("SOURCE_DATE_EPOCH") or time.time()
    try:
        return datetime.fromtimestamp(float(moment), UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        raise InputError(f"SOURCE_DATE_EPOCH: expected seconds since 1970; got '{str(moment)[:40]}'") from None


def _backend() -> dict[str, Any] | None:
    """What the kernels were built for and which are chosen, if they are loaded at all."""
    backend = sys.modules.get("cdipipe.ops.backend")
    return None if backend is None else {k: v for k, v in backend.describe().items() if k != "file"}


def collect(inputs: Iterable[str | Path] = ()) -> dict[str, Any]:
    """Plain data that tells how a result came to be, to be stored with it.

    Parameters
    ----------
    inputs : files that went in; their SHA-256 is recorded under their names without the folders

    Returns
    -------
    dict
        ``command``, ``time_utc``, ``versions``, ``code_digest``, ``backend`` (where kernels are loaded), ``inputs``.
    """
    record: dict[str, Any] = {
        "command": _command(),
        "time_utc": _utc_time(),
        "versions": versions(),
        "code_digest": code_digest(),
        "inputs": {Path(path).name: file_sha256(path) for path in inputs},
    }
    if (backend := _backend()) is not None:
        record["backend"] = backend
    return record
