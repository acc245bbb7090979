"""Public image sets that come as one archive: EMNIST and CIFAR-100, read without unpacking anything to disk.

Members are read by their expected name straight into memory, up to their expected size; no path in an archive is ever
used as a path on this machine, and nothing is unpickled. What is kept is one ``images.npy`` and its SHA-256.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.io.datasets import cache_folder

IDX_UINT8_3D = b"\0\0\x08\x03"
CIFAR_RECORD_BYTES = 2 + 3 * 32 * 32
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue in a grey image (ITU-R 601)."""
READ_ERRORS = (OSError, EOFError, ValueError, zipfile.BadZipFile, tarfile.TarError, zlib.error, NotImplementedError)


@dataclass(frozen=True)
class ImageArchive:
    """An archive of images on the web.

    Parameters
    ----------
    file, md5 : name and hash of the archive as published
    read : archive -> (N, H, W) uint8, training images first
    train, test : how many images of each split
    """

    name: str
    title: str
    licence: str
    credit: str
    url: str
    md5: str
    file: str
    read: Callable[[Path, ImageArchive], np.ndarray]
    train: int
    test: int
    side: int


def _exactly(stream, count: int, what: str) -> bytes:
    """``count`` bytes and not one more, so that a bomb cannot fill the memory."""
    content = stream.read(count + 1)
    if len(content) != count:
        more = "more than " if len(content) > count else ""
        raise ValueError(f"{what} has {more}{min(len(content), count)} bytes; {count} are expected")
    return content


def _read_idx(stream, count: int, side: int, what: str) -> np.ndarray:
    header = _exactly_prefix(stream, 16, what)
    shape = tuple(int(n) for n in np.frombuffer(header[4:], ">u4"))
    if header[:4] != IDX_UINT8_3D or shape != (count, side, side):
        raise ValueError(f"{what} is not an idx file of {count} images of {side} x {side} bytes")
    return np.frombuffer(_exactly(stream, count * side * side, what), np.uint8).reshape(shape)


def _exactly_prefix(stream, count: int, what: str) -> bytes:
    content = stream.read(count)
    if len(content) != count:
        raise ValueError(f"{what} ends after {len(content)} bytes")
    return content


def read_emnist(path: Path, archive: ImageArchive) -> np.ndarray:
    """Images of the balanced split of EMNIST from its zip of gzipped idx files, upright: (N, 28, 28) uint8."""
    parts = []
    with zipfile.ZipFile(path) as whole:
        for split, count in (("train", archive.train), ("test", archive.test)):
            name = f"gzip/emnist-balanced-{split}-images-idx3-ubyte.gz"
            if name not in whole.namelist():
                raise ValueError(f"{name} is missing in it")
            with whole.open(name) as member, gzip.GzipFile(fileobj=member) as stream:
                parts.append(_read_idx(stream, count, archive.side, name))
    return np.concatenate(parts).transpose(0, 2, 1)  # EMNIST stores its characters on their side


def read_cifar(path: Path, archive: ImageArchive) -> np.ndarray:
    """Grey images of CIFAR-100 from the binary edition, 3074 bytes per image: (N, 32, 32) uint8."""
    wanted = {"cifar-100-binary/train.bin": archive.train, "cifar-100-binary/test.bin": archive.test}
    found: dict[str, np.ndarray] = {}
    with tarfile.open(path, "r:gz") as whole:
        for member in whole:
            if member.name not in wanted or member.name in found:
                continue
            stream = whole.extractfile(member) if member.isreg() else None
            if stream is None:
                raise ValueError(f"{member.name} is not a plain file in it")
            content = _exactly(stream, wanted[member.name] * CIFAR_RECORD_BYTES, member.name)
            found[member.name] = _grey(np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD_BYTES)[:, 2:])
    for name in wanted:
        if name not in found:
            raise ValueError(f"{name} is missing in it")
    return np.concatenate([found[name] for name in wanted])


def _grey(planes: np.ndarray, chunk: int = 5000) -> np.ndarray:
    """(N, 3 * 1024) red, green, blue planes to (N, 32, 32) grey; in pieces, to stay small."""
    grey = np.empty((len(planes), 32, 32), np.uint8)
    for start in range(0, len(planes), chunk):
        part = planes[start : start + chunk].reshape(-1, 3, 32, 32).astype(np.float32)
        grey[start : start + chunk] = np.rint(np.tensordot(part, LUMA, (1, 0)))
    return grey


EMNIST = ImageArchive(
    name="emnist",
    title="EMNIST, balanced split: 131600 handwritten letters and digits, 28 x 28 (a zip of gzipped idx files, 0.5 GB)",
    licence="none stated; NIST Special Database 19 is a work of the US government. Cite doi:10.1109/IJCNN.2017.7966217",
    credit="https://www.nist.gov/itl/products-and-services/emnist-dataset",
    url="https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip",
    md5="58c8d27c78d21e728a6bc7b3cc06412e",
    file="gzip.zip",
    read=read_emnist,
    train=112800,
    test=18800,
    side=28,
)
CIFAR100 = ImageArchive(
    name="cifar100",
    title="CIFAR-100, binary edition: 60000 small photographs, turned grey, 32 x 32 (a tar.gz of 0.16 GB)",
    licence="none stated, used freely in research. Cite A. Krizhevsky, Learning Multiple Layers of Features (2009)",
    credit="https://www.cs.toronto.edu/~kriz/cifar.html",
    url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    md5="03b5dce01913d631647c71ecec9e9cb8",
    file="cifar-100-binary.tar.gz",
    read=read_cifar,
    train=50000,
    test=10000,
    side=32,
)
IMAGE_ARCHIVES = {archive.name: archive for archive in (EMNIST, CIFAR100)}


def _file_digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def images_folder(name: str) -> Path:
    """Where the images of an archive are, or will be once it is fetched; touches no network."""
    local = Path(os.environ.get("CDIPIPE_DATA_DIR") or os.devnull) / name
    return local if (local / "images.npy").is_file() else cache_folder() / name


def fetch_images(name: str, archive_file: Path | None = None) -> Path:
    """Folder with ``images.npy`` of an archive, downloaded and checked if need be.

    Parameters
    ----------
    name : see :data:`IMAGE_ARCHIVES`
    archive_file : the archive, if it was downloaded by hand; its MD5 is checked alike

    Raises
    ------
    InputError
        The network fails, the archive is not the published one or cannot be read. Nothing is left then.
    """
    archive = IMAGE_ARCHIVES[name]
    folder = images_folder(name)
    if archive_file is not None:
        return _keep(archive, archive_file, str(archive_file), folder)
    if (folder / "images.npy").is_file():
        try:
            load_images(name)
            return folder
        except InputError:  # an old or damaged copy is replaced
            pass
    from cdipipe.io.datasets.downloads import _fetch_bytes

    base = (os.environ.get("CDIPIPE_FETCH_BASE") or "").rstrip("/")
    url = f"{base}/{archive.file}" if base else archive.url
    parts = folder.with_name(f"{name}.parts")
    parts.mkdir(parents=True, exist_ok=True)
    try:
        (parts / archive.file).unlink(missing_ok=True)
        return _keep(archive, _fetch_bytes(url, parts, archive.file), url, folder)
    finally:
        (parts / archive.file).unlink(missing_ok=True)
        if not any(parts.iterdir()):
            parts.rmdir()


def _keep(archive: ImageArchive, path: Path, where: str, folder: Path) -> Path:
    """Check the archive, read it, and put its images in place: whole or not at all."""
    if not path.is_file():
        raise InputError(f"{where}: no such file; the archive is to be had from {archive.url}")
    if (digest := _file_digest(path, "md5")) != archive.md5:
        raise InputError(f"{where}: MD5 is {digest}; the published archive {archive.file} has {archive.md5}")
    try:
        images = np.ascontiguousarray(archive.read(path, archive))
    except READ_ERRORS as error:
        raise InputError(f"{where}: {error}") from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.exists():
        shutil.rmtree(folder)
    with atomic_path(folder) as beside:
        beside.mkdir()
        np.save(beside / "images.npy", images)
        source = {"title": archive.title, "url": archive.url, "md5": archive.md5, "licence": archive.licence}
        source |= {"credit": archive.credit, "sha256": _file_digest(beside / "images.npy", "sha256")}
        (beside / "SOURCE.json").write_text(json.dumps(source, indent=2) + "\n")
    return folder


def load_images(name: str) -> np.ndarray:
    """(N, H, W) uint8 images of an archive that was fetched, training images first; mapped, not read into memory.

    The file's SHA-256 is compared once per process.

    Raises
    ------
    InputError   not fetched yet, or the copy is damaged
    """
    path = images_folder(name) / "images.npy"
    if not path.is_file():
        raise InputError(f"{name}: its images are not here ({path}); run `cdipipe fetch {name}`")
    return _load(name, path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=4)
def _load(name: str, path: Path, _changed_ns: int) -> np.ndarray:
    archive, again = IMAGE_ARCHIVES[name], f"run `cdipipe fetch {name}` once more"
    try:
        expected = json.loads(path.with_name("SOURCE.json").read_text())["sha256"]
        intact = _file_digest(path, "sha256") == expected
        images = np.load(path, mmap_mode="r", allow_pickle=False)
    except (*READ_ERRORS, KeyError, TypeError) as error:
        raise InputError(f"{path}: the copy of {name} is damaged ({error}); {again}") from error
    if not intact or images.shape != (archive.train + archive.test, archive.side, archive.side):
        raise InputError(f"{path}: the copy of {name} is damaged, its SHA-256 is another; {again}")
    return images
