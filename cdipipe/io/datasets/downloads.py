"""Download a named public data set once, and check that its arrays are those that were published.

Files are listed and verified one by one with GitHub's own blob hashes, so that a broken download goes on where it
stopped; what counts is the SHA-256 of the arrays (:mod:`cdipipe.io.datasets`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.io.datasets import ArrayFile, Dataset, FileDataset, cache_folder, find_dataset, local_copy
from cdipipe.io.importing.formats import read_array
from cdipipe.progress import progress
from cdipipe.provenance import file_sha256

LISTING_BASE = "https://api.github.com"
CONTENT_BASE = "https://raw.githubusercontent.com"
TIMEOUT_S = 30
SAFE_NAME = re.compile(r"[\w.-]+\.tif")


@dataclass(frozen=True)
class RemoteFile:
    """One file of the repository; ``blob_sha1`` is git's hash of its content, where it is known."""

    path: str
    blob_sha1: str | None = None


def _fetch_bytes(url: str, folder: Path, name: str) -> Path:
    """Download one file with pooch; it appears whole or not at all."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    try:
        downloader = pooch.HTTPDownloader(timeout=TIMEOUT_S)
        return Path(pooch.retrieve(url, known_hash=None, fname=name, path=folder, downloader=downloader))
    except requests.RequestException as error:
        reason = f"HTTP {error.response.status_code}" if error.response is not None else type(error).__name__
        raise InputError(f"{url}: cannot be downloaded ({reason}); what is complete is kept, try again") from error


def _list_frames(dataset: Dataset, base: str, folder: Path) -> list[RemoteFile]:
    url = f"{base}/repos/{dataset.repository}/contents/{quote(dataset.frames_folder)}?ref={dataset.commit}"
    listing = _fetch_bytes(url, folder, "listing.json")
    try:
        entries = json.loads(listing.read_bytes())
        names = {entry["name"]: entry["sha"] for entry in entries if SAFE_NAME.fullmatch(entry["name"])}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{url}: did not answer with a list of files") from error
    finally:
        listing.unlink(missing_ok=True)
    if len(names) != dataset.counts.shape[0]:
        raise InputError(f"{url}: lists {len(names)} frames; {dataset.counts.shape[0]} are expected")
    return [RemoteFile(f"{dataset.frames_folder}/{name}", names[name]) for name in sorted(names)]


def _is_blob(path: Path, blob_sha1: str | None) -> bool:
    content = path.read_bytes()
    return blob_sha1 is None or hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest() == blob_sha1


def _download(dataset: Dataset, remote: RemoteFile, base: str, folder: Path) -> Path:
    """One file of the repository, from an earlier attempt if its hash agrees."""
    name = Path(remote.path).name
    if remote.blob_sha1 and (folder / name).is_file() and _is_blob(folder / name, remote.blob_sha1):
        return folder / name
    (folder / name).unlink(missing_ok=True)
    url = f"{base}/{dataset.repository}/{dataset.commit}/{quote(remote.path)}"
    path = _fetch_bytes(url, folder, name)
    if not _is_blob(path, remote.blob_sha1):
        path.unlink()
        raise InputError(f"{url}: arrived damaged, its hash is not the published one; try again")
    return path


def array_sha256(values: np.ndarray) -> str:
    """SHA-256 of an array's bytes, little endian, C order."""
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return hashlib.sha256(little.data).hexdigest()


def check_array(values: np.ndarray, expected: ArrayFile, where: str) -> None:
    """Raise InputError unless shape, type and SHA-256 of the array are those of the data set."""
    if values.shape != expected.shape or values.dtype != np.dtype(expected.dtype):
        got = f"{values.dtype} {values.shape}"
        raise InputError(f"{where}: holds {got}; published: {expected.dtype} {expected.shape}")
    if (digest := array_sha256(values)) != expected.sha256:
        raise InputError(f"{where}: SHA-256 of the values is {digest[:12]}..., published: {expected.sha256[:12]}...")


def check_folder(dataset: Dataset | FileDataset, folder: Path) -> None:
    """Raise InputError unless the folder holds what was published."""
    if isinstance(dataset, FileDataset):
        for file, (_, expected) in zip(dataset.files, dataset.contents, strict=True):
            if (digest := file_sha256(folder / file)) != expected:
                raise InputError(f"{folder / file}: SHA-256 is {digest[:12]}..., published: {expected[:12]}...")
        return
    for array in dataset.arrays:
        check_array(read_array(folder / array.file, array.key), array, str(folder / array.file))


def _stack_frames(files: list[Path], expected: ArrayFile) -> np.ndarray:
    frames = [read_array(file) for file in files]
    if any(frame.shape != expected.shape[1:] for frame in frames):
        raise InputError(f"{files[0].parent}: frames have another shape than {expected.shape[1:]}")
    return np.stack(frames).astype(expected.dtype)


def _assemble(dataset: Dataset, files: list[Path], parts: Path, folder: Path) -> None:
    """Stack, check, and only then put everything in place."""
    counts = _stack_frames(files, dataset.counts)
    check_array(counts, dataset.counts, f"{dataset.name}: downloaded frames")
    for array in dataset.others:
        check_array(read_array(parts / array.file, array.key), array, f"{dataset.name}: downloaded {array.file}")
    if folder.exists():
        shutil.rmtree(folder)
    with atomic_path(folder) as beside:
        beside.mkdir()
        np.savez_compressed(beside / dataset.counts.file, **{dataset.counts.key: counts})
        for array in dataset.others:
            shutil.copyfile(parts / array.file, beside / array.file)
        _write_source(dataset, beside)


def _download_all(dataset: Dataset, base: str, parts: Path) -> list[Path]:
    """All files of the data set into ``parts``; returns the frames in the order of their names."""
    frames = _list_frames(dataset, base or LISTING_BASE, parts)
    for path in dataset.extra_files:
        _download(dataset, RemoteFile(path), base or CONTENT_BASE, parts)
    return [
        _download(dataset, frame, base or CONTENT_BASE, parts)
        for frame in progress(frames, f"downloading {dataset.name}")
    ]


def _download_files(dataset: FileDataset, base: str, folder: Path) -> None:
    """Every file as it is published; the folder appears whole or not at all."""
    if folder.exists():
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(folder) as beside:
        beside.mkdir()
        for (path, _), file in zip(dataset.contents, dataset.files, strict=True):
            url = f"{base or CONTENT_BASE}/{dataset.repository}/{dataset.commit}/{quote(path)}"
            _fetch_bytes(url, beside, file)
        check_folder(dataset, beside)
        _write_source(dataset, beside)


def _write_source(dataset: Dataset | FileDataset, folder: Path) -> None:
    about = f"{dataset.title}\n{dataset.credit} @ {dataset.commit}\n{dataset.licence}\n"
    (folder / "SOURCE.txt").write_text(about)


def fetch(name: str, base: str | None = None) -> Path:
    """Folder with the files of a public data set, downloaded if need be, their content checked.

    Parameters
    ----------
    name : see :data:`cdipipe.io.datasets.DATASETS`
    base : address to use in place of GitHub's (also ``CDIPIPE_FETCH_BASE``), for mirrors

    Raises
    ------
    InputError
        Unknown name; the network or a file fails; the arrays are not those that were published. Complete single files
        stay for the next attempt unless the content is wrong.
    """
    dataset = find_dataset(name)
    base = (base or os.environ.get("CDIPIPE_FETCH_BASE") or "").rstrip("/")
    if (folder := local_copy(dataset)) is not None:
        check_folder(dataset, folder)
        return folder
    folder = cache_folder() / dataset.name
    if folder.is_dir():
        try:
            check_folder(dataset, folder)
            return folder
        except (InputError, OSError):  # an old or damaged copy is replaced
            pass
    if isinstance(dataset, FileDataset):
        _download_files(dataset, base, folder)
        return folder
    parts = folder.with_name(f"{dataset.name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    try:
        files = _download_all(dataset, base, parts)
    except BaseException:
        if not any(parts.iterdir()):
            parts.rmdir()
        raise
    try:
        _assemble(dataset, files, parts, folder)
    finally:
        shutil.rmtree(parts, ignore_errors=True)
    return folder
