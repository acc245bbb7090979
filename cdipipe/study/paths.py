"""Folders and files as a study names them: made plain, or refused where a workflow could not take them.

Every path stands in quotes in the commands of the workflow, so blanks, quotes, semicolons, dollars and stars are what
they are. Refused is what Snakemake or the commands would take for something else.
"""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

LONGEST_NAME_BYTES, LONGEST_PATH_BYTES = 255, 3000
"""What file systems take, less room for what lies inside an output folder."""
NOT_PRINTED = ("Cc", "Cs", "Zl", "Zp")
"""Unicode's control characters, halves of characters, and ends of lines and paragraphs."""


def fault_of_path(path: str) -> str:
    """Why a workflow cannot take a path, in words that follow it; empty: it can.

    Examples
    --------
    >>> fault_of_path("data/{x}.npy")
    'braces stand for a wildcard of the workflow; rename it'
    >>> fault_of_path("my data/it's; 5 $ & more.npy")
    ''
    """
    if any(unicodedata.category(sign) in NOT_PRINTED for sign in path):
        return "a line break or another character that is not printed; rename it"
    if "{" in path or "}" in path:
        return "braces stand for a wildcard of the workflow; rename it"
    if any(len(os.fsencode(name)) > LONGEST_NAME_BYTES for name in path.split("/")):
        return f"a name of more than {LONGEST_NAME_BYTES} bytes; take a shorter one"
    if len(os.fsencode(os.path.abspath(path))) > LONGEST_PATH_BYTES:
        return f"a path of more than {LONGEST_PATH_BYTES} bytes; take a shorter one"
    if path.startswith("-"):
        return "begins with a dash, as options do; rename it"
    if path != path.strip():
        return "begins or ends with a blank; rename it"
    return ""


def output_folder(name: str) -> str:
    """The folder of a study's results with its home folder written out and without ``./``, ``//`` and ``a/../``.

    Raises
    ------
    ValueError   the workflow could not take it, or it is no folder of the study's own
    """
    path = os.path.normpath(os.path.expanduser(name))
    if path.startswith("~"):
        raise ValueError("'~' stands for a home folder, and there is none of this name")
    if fault := fault_of_path(path):
        raise ValueError(fault)
    if not Path(path).name or Path(path).name == "..":
        raise ValueError("expected a folder of the study's own, such as results/mine")
    return path


OutputFolder = Annotated[str, AfterValidator(output_folder)]
