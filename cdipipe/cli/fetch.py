"""``cdipipe fetch``: a public data set, downloaded once and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    name: Annotated[str | None, typer.Argument(help="a data set; see --list")] = None,
    list_: Annotated[bool, typer.Option("--list", help="names, titles and licences")] = False,
    archive: Annotated[
        Path | None, typer.Option(help="emnist, cifar100: the archive, if you downloaded it by hand")
    ] = None,
) -> None:
    """Download a named public data set, check its hash, print its folder and its licence.

    Sets without a verified direct link are named too, with what to download by hand and how to import it.
    Downloads go to CDIPIPE_CACHE or the platform's cache folder; a copy in CDIPIPE_DATA_DIR is used instead.
    """
    from cdipipe.io.datasets import DATASETS, find_dataset
    from cdipipe.io.datasets.archives import IMAGE_ARCHIVES
    from cdipipe.io.datasets.manual import MANUAL_DATASETS

    everything = {**DATASETS, **IMAGE_ARCHIVES}
    if list_:
        for dataset in everything.values():
            print(f"{dataset.name}: {dataset.title}\n  {dataset.credit}\n  licence: {dataset.licence}")
        for dataset in MANUAL_DATASETS.values():
            print(dataset.instructions())
        return
    if name is None:
        raise InputError(f"fetch: which data set? There is {', '.join(everything)} (--list tells more)")
    if name in IMAGE_ARCHIVES:
        _fetch_images(IMAGE_ARCHIVES[name], archive)
        return
    if name in MANUAL_DATASETS:
        print(MANUAL_DATASETS[name].instructions())
        raise InputError(f"fetch {name}: nothing was downloaded, no direct link was verified; see the lines above")
    if archive is not None:
        raise InputError(f"fetch: --archive is for {', '.join(IMAGE_ARCHIVES)}")
    dataset = find_dataset(name)

    from cdipipe.io.datasets.downloads import fetch

    print(fetch(name))
    print(f"files: {', '.join(dataset.files)}; SHA-256 agrees")
    print(f"licence: {dataset.licence} ({dataset.credit})")


def _fetch_images(dataset, archive: Path | None) -> None:
    from cdipipe.io.datasets.archives import fetch_images

    print(fetch_images(dataset.name, archive))
    print(f"files: images.npy, {dataset.train} for training and {dataset.test} for tests; MD5 of the archive agrees")
    print(f"licence: {dataset.licence} ({dataset.credit})")
