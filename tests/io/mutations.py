"""Small valid files of every format, and random damage done to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

FORMATS = ("npy", "npz", "tif", "mat", "h5", "edf", "cbf", "cxi", "reconstruction", "npy.gz", "yaml")
SIZE = 24


RECIPE = """\
# chained steps
steps:
  - hio: {iterations: 180, beta: 0.9}
  - er: {iterations: 20}
restarts: 8
constraint: support
shrink_wrap: {every: 20, threshold: 0.1}
"""


def counts(rng: np.random.Generator, shape: tuple[int, ...] = (SIZE, SIZE)) -> np.ndarray:
    """Photon counts with a peak in the middle."""
    axes = np.meshgrid(*(np.arange(size) - size // 2 for size in shape), indexing="ij")
    return rng.poisson(200 * np.exp(-sum(axis**2 for axis in axes) / 20) + 0.5).astype(np.int32)


def _measurement(values: np.ndarray):
    from cdipipe.measurement import Geometry, Measurement

    measured = np.ones(values.shape, dtype=bool)
    measured[0, :3] = False
    geometry = Geometry(9000.0, 0.5, 55e-6)
    wave = np.exp(1j * values).astype(np.complex64)
    known = {"probe_modes": np.stack([wave, wave]), "static_region": wave * (values > 50)}
    return Measurement(values.astype(np.float32), measured, "single", geometry, provenance={"made": "here"}, **known)


def _reconstruction(values: np.ndarray):
    from cdipipe.measurement import Geometry, Reconstruction

    image = np.sqrt(values).astype(np.complex64)
    return Reconstruction(
        image,
        values > 20,
        method="hio",
        recipe={"steps": [{"hio": {"iterations": 5}}]},
        geometry=Geometry(9000.0, 0.5, 55e-6),
        error_trace=np.linspace(1, 0.1, 5, dtype=np.float32)[None],
        runs=np.stack([image, image]),
        run_scores={"r_factor": np.array([0.1, 0.2])},
    )


def write_valid(path: Path, kind: str, values: np.ndarray) -> None:
    """Write counts (H, W) into ``path`` as a file of one of FORMATS."""
    import h5py
    import scipy.io
    import tifffile
    from fabio.cbfimage import CbfImage
    from fabio.edfimage import EdfImage

    from cdipipe.io import cxi

    if kind == "npy":
        np.save(path, values)
    elif kind == "npz":
        np.savez_compressed(path, counts=values)
    elif kind == "tif":
        tifffile.imwrite(path, values.astype(np.float32), compression="zlib")
    elif kind == "mat":
        scipy.io.savemat(path, {"counts": values.astype(float)}, do_compression=True)
    elif kind == "h5":
        with h5py.File(path, "w") as file:
            file.create_dataset("entry/counts", data=values, chunks=(SIZE // 2, SIZE), compression="gzip")
            file["entry/link"] = h5py.SoftLink("/entry/counts")
    elif kind == "edf":
        EdfImage(data=values).write(str(path))
    elif kind == "cbf":
        CbfImage(data=values).write(str(path))
    elif kind == "cxi":
        cxi.write_measurement(path, _measurement(values))
    elif kind == "reconstruction":
        cxi.write_reconstruction(path, _reconstruction(values))
    elif kind == "yaml":
        path.write_text(RECIPE)
    elif kind == "npy.gz":
        import gzip
        import io

        plain = io.BytesIO()
        np.save(plain, values)
        path.write_bytes(gzip.compress(plain.getvalue(), mtime=0))
    else:
        raise ValueError(kind)


def suffix_of(kind: str) -> str:
    return "cxi" if kind == "reconstruction" else kind


def mutate(content: bytes, rng: np.random.Generator) -> bytes:
    """Damage a file: flip bytes, cut it off, blank or repeat a part, write huge numbers, insert noise."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        size = len(data)
        if size < 2:
            break
        # half of the damage goes to the first kilobyte, where the headers are
        start = int(rng.integers(min(size, 1024) if rng.random() < 0.5 else size))
        length = int(rng.integers(1, 1 + min(64, size)))
        choice = rng.integers(7)
        if choice == 0:
            for place in rng.integers(0, size, int(rng.integers(1, 9))):
                data[int(place)] ^= 1 << int(rng.integers(8))
        elif choice == 1:
            del data[start:]
        elif choice == 2:
            data[start : start + length] = bytes(len(data[start : start + length]))
        elif choice == 3:
            data[start:start] = data[start : start + length]
        elif choice == 4:
            data[start : start + 8] = b"\xff" * len(data[start : start + 8])
        elif choice == 5:
            data[start : start + length] = rng.bytes(len(data[start : start + length]))
        else:
            data[start] = int(rng.integers(256))
    return bytes(data)
