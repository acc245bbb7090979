"""Whether a data set is here, or could be downloaded from where this runs."""

from __future__ import annotations

import os
from urllib.parse import quote

from cdipipe.io.datasets import DATASETS, Dataset, dataset_folder
from cdipipe.io.datasets.archives import IMAGE_ARCHIVES, images_folder

ANSWER_S = 10


def is_here(name: str) -> bool:
    """Whether the files of a data set or image archive are on this computer; their content is not looked at.

    Parameters
    ----------
    name : of a data set or an archive of images
    """
    if name in IMAGE_ARCHIVES:
        return (images_folder(name) / "images.npy").is_file()
    folder = dataset_folder(name)
    return all((folder / file).is_file() for file in DATASETS[name].files)


def why_unreachable(name: str) -> str | None:
    """What keeps a data set from being downloaded; None if its server has it.

    Parameters
    ----------
    name : of a data set or an archive of images
    """
    import requests

    try:
        answer = requests.get(_address(name), stream=True, timeout=ANSWER_S)
        answer.close()
    except requests.RequestException as error:
        return f"{_address(name)}: {type(error).__name__}"
    return None if answer.ok else f"{_address(name)}: HTTP {answer.status_code}"


def _address(name: str) -> str:
    """One of the files that will be downloaded."""
    base = (os.environ.get("CDIPIPE_FETCH_BASE") or "").rstrip("/")
    if name in IMAGE_ARCHIVES:
        archive = IMAGE_ARCHIVES[name]
        return f"{base}/{archive.file}" if base else archive.url
    from cdipipe.io.datasets.downloads import CONTENT_BASE

    dataset = DATASETS[name]
    path = dataset.extra_files[0] if isinstance(dataset, Dataset) else dataset.contents[0][0]
    return f"{base or CONTENT_BASE}/{dataset.repository}/{dataset.commit}/{quote(path)}"
