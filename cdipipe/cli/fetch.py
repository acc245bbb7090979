"""``cdipipe fetch``: a public data set, downloaded once and checked."""

from __future__ import annotations

from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    name: Annotated[str | None, typer.Argument(help="a data set; see --list")] = None,
    list_: Annotated[bool, typer.Option("--list", help="names, titles and licences")] = False,
) -> None:
    """Download a named public data set, check its SHA-256, print its folder and its licence.

    Downloads go to CDIPIPE_CACHE or the platform's cache folder; a copy in CDIPIPE_DATA_DIR is used instead.
    """
    from cdipipe.io.datasets import DATASETS, find_dataset

    if list_:
        for dataset in DATASETS.values():
            print(f"{dataset.name}: {dataset.title}\n  {dataset.credit}\n  licence: {dataset.licence}")
        return
    if name is None:
        raise InputError(f"fetch: which data set? There is {', '.join(DATASETS)} (--list tells more)")
    dataset = find_dataset(name)

    from cdipipe.io.downloads import fetch

    print(fetch(name))
    print(f"files: {', '.join(array.file for array in dataset.arrays)}; SHA-256 of the arrays agrees")
    print(f"licence: {dataset.licence} ({dataset.credit})")
