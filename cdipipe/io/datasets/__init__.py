"""The public data sets that ``cdipipe fetch`` knows: their source, their licence, and what they must contain."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cdipipe.errors import InputError


@dataclass(frozen=True)
class ArrayFile:
    """A file of one array and the SHA-256 of that array's bytes (little endian, C order)."""

    file: str
    key: str | None
    shape: tuple[int, ...]
    dtype: str
    sha256: str


@dataclass(frozen=True)
class Published:
    """What is known of a data set on GitHub.

    Parameters
    ----------
    local_folder : name under which ``CDIPIPE_DATA_DIR`` may hold a copy
    """

    name: str
    title: str
    licence: str
    credit: str
    repository: str
    commit: str
    local_folder: str


@dataclass(frozen=True)
class Dataset(Published):
    """A data set whose frames are stacked into one array.

    Parameters
    ----------
    frames_folder : folder of the repository whose .tif files, in the order of their names, make the stack ``counts``
    extra_files : repository paths of further files, kept under their names
    """

    frames_folder: str
    extra_files: tuple[str, ...]
    counts: ArrayFile
    others: tuple[ArrayFile, ...]

    @property
    def arrays(self) -> tuple[ArrayFile, ...]:
        return (self.counts, *self.others)

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files in the data set's folder."""
        return tuple(array.file for array in self.arrays)


@dataclass(frozen=True)
class FileDataset(Published):
    """A data set that is used as it is published, file by file.

    Parameters
    ----------
    contents : path in the repository and SHA-256 of each file; they keep their names
    """

    contents: tuple[tuple[str, str], ...]

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files in the data set's folder."""
        return tuple(path.rpartition("/")[2] for path, _ in self.contents)


APS34IDC_S54 = Dataset(
    name="aps34idc_s54",
    title="Bragg rocking curve of a gold nanocrystal, measured at APS 34-ID-C (201 x 256 x 256 counts, white field)",
    licence="BSD 2-Clause, Copyright (c) 2025 AdvancedPhotonSource",
    credit="https://github.com/AdvancedPhotonSource/cohere_examples",
    repository="AdvancedPhotonSource/cohere_examples",
    commit="50993a1039993a4ac8d33823d7f4672f9a56b9d7",
    frames_folder="example_data/AD34idcTIM2_example/Staff20-1a_S0054",
    extra_files=("example_data/whitefield.tif",),
    counts=ArrayFile(
        file="S54_counts_201x256x256_int32.npz",
        key="counts",
        shape=(201, 256, 256),
        dtype="int32",
        sha256="533949c358d9f50ae3850ea0e609fd76a092d0ee31d888ca0f49f8b374726544",
    ),
    others=(
        ArrayFile(
            file="whitefield.tif",
            key=None,
            shape=(512, 512),
            dtype="float32",
            sha256="1f4352fdf05bf8c61e95b62e1b931ac837b3a0886ad6b24e007a8e990b4f6d5c",
        ),
    ),
    local_folder="aps34idc_bcdi_S54",
)

HAWK_RING = FileDataset(
    name="hawk_ring",
    title="laser light diffracted by a small ring, its saturated centre masked (98 x 98 moduli; raw frame)",
    licence="GPL v2, the program's licence",
    credit="https://github.com/FXIhub/hawk, examples/ring",
    repository="FXIhub/hawk",
    commit="8297cf078f2fb504af7b83de3f3016fd0be4a325",
    contents=(
        ("examples/ring/ring.h5", "60ef645b607631c06b2a46298a001940bcd4ce3949b66a8a3acdae1f78448428"),
        ("examples/ring/raw_ring.h5.gz", "7c7b301c368b5fc2db9ab9052d12e3e638f49554d9deffa61163bc6f25d02c26"),
    ),
    local_folder="hawk_ring_optical",
)

DATASETS = {dataset.name: dataset for dataset in (APS34IDC_S54, HAWK_RING)}


def find_dataset(name: str) -> Dataset | FileDataset:
    """The data set of this name; raises InputError with the known names."""
    if name not in DATASETS:
        raise InputError(f"no public data set '{name}'; there is {', '.join(sorted(DATASETS))}")
    return DATASETS[name]


def cache_folder() -> Path:
    """Where downloads go: ``CDIPIPE_CACHE``, or the platform's cache folder for cdipipe."""
    if folder := os.environ.get("CDIPIPE_CACHE"):
        return Path(folder).expanduser()
    import pooch

    return Path(pooch.os_cache("cdipipe"))


def local_copy(dataset: Dataset | FileDataset) -> Path | None:
    """The data set's folder in ``CDIPIPE_DATA_DIR``, if that holds its files."""
    folder = Path(os.environ.get("CDIPIPE_DATA_DIR") or os.devnull) / dataset.local_folder
    return folder if all((folder / file).is_file() for file in dataset.files) else None


def dataset_folder(name: str) -> Path:
    """Where a data set's files are, or will be once it is fetched; touches no network."""
    dataset = find_dataset(name)
    return local_copy(dataset) or cache_folder() / dataset.name
