"""How files are called in figures and folders."""

from __future__ import annotations

from pathlib import Path

from cdipipe.errors import InputError

GENERIC_NAMES = ("R", "mean", "metrics", "curve", "uncertainty")
"""File names of the workflow, which say less than the folders they lie in."""


def label_of(path: Path, folders: int = 1) -> str:
    """How a file is called in a figure: its stem, or for the workflow's files the last ``folders`` folders."""
    if path.stem not in GENERIC_NAMES:
        return path.stem
    return "/".join(path.absolute().parts[-1 - folders : -1])


def labels_of(files: list[Path]) -> list[str]:
    """Labels that tell files of one measurement apart; InputError where two are called the same."""
    labels = [label_of(path) for path in files]
    twice = [label for label in labels if labels.count(label) > 1]
    if twice:
        raise InputError(f"two files are called {twice[0]!r}; in a folder each needs a name of its own")
    return labels
