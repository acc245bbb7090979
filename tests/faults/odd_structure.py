"""Files and settings whose bytes are whole and whose structure is not as written: what a seed makes of a valid one."""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np


def nested(depth: int, brackets: str = "list") -> Any:
    """Lists in lists, or mappings in mappings."""
    value: Any = 1
    for _ in range(depth):
        value = [value] if brackets == "list" else {"a": value}
    return value


NUMBERS = [0, 1, -1, 3, 0.5, -0.5, 10**10, -(10**10), 2**31, 2**63, 10**30, 1e300, -1e300, 1e-300, math.nan, math.inf]
TEXTS = ["", "x", "nan", "1e400", "0x_", "/dev/zero", "../../etc/passwd", "$(touch PWNED)", "{a}", "a b", "x" * 70_000]
TEXTS += ["none", "2021-13-45", "\u200f\u00e9\u65e5"]
OTHERS = [None, True, False, [], {}, [[]], [None], [1, 2, 3], ["x"], {"a": 1}, [1e300, -1], [math.nan] * 2]


def odd_value(rng: np.random.Generator, deep: bool = True) -> Any:
    """Something that hardly any key takes; now and then many of it, or much within itself."""
    which = rng.random()
    if which < 0.45:
        return pick(rng, NUMBERS)
    if which < 0.65:
        return pick(rng, TEXTS)
    if which < 0.92 or not deep:
        return pick(rng, OTHERS)
    return pick(rng, [nested(400), nested(3000), nested(3000, "mapping"), list(range(20_000)), "y" * 10**6])


def pick(rng: np.random.Generator, options) -> Any:
    options = list(options)
    return options[int(rng.integers(len(options)))]


def disturb(tree: Any, rng: np.random.Generator) -> Any:
    """A tree of plain data with one of its nodes replaced, gone, doubled, renamed or moved."""
    try:
        tree = json.loads(json.dumps(tree))
    except RecursionError:
        return tree
    places = list(_places(tree))
    if not places:
        return odd_value(rng)
    holder, key = pick(rng, places)
    action = rng.integers(8)
    if action < 5:
        holder[key] = odd_value(rng)
    elif action == 5:
        del holder[key]
    elif action == 6 and isinstance(holder, dict):
        holder[pick(rng, ["odd", "", "a.b", "x" * 300, "grid", key + "_"])] = holder.pop(key)
    else:
        other, elsewhere = pick(rng, places)
        holder[key] = json.loads(json.dumps(other[elsewhere]))
    return tree


def _places(tree: Any):
    """Every node but the top, as what holds it and its key."""
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(pairs):
        yield tree, key
        yield from _places(value)


def write_json(path: Path, content: Any) -> None:
    path.write_text(as_json(content))


def as_json(content: Any) -> str:
    """JSON text; of what is too deep for the library a text of brackets."""
    try:
        return json.dumps(content)
    except (RecursionError, ValueError):
        return "[" * 100_000


# HDF5


def disturb_hdf5(path: Path, rng: np.random.Generator) -> None:
    """Change one to three things in a CXI file."""
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            names: list[str] = []
            file.visit(names.append)
            arrays = [name for name in names if isinstance(file.get(name), h5py.Dataset)]
            name = pick(rng, arrays if rng.random() < 0.85 else ["/", *names])
            try:
                _disturb_node(file, name, rng)
            except (
                OSError,
                ValueError,
                TypeError,
                KeyError,
                RuntimeError,
                MemoryError,
            ):  # what the library refuses to write
                continue


def _disturb_node(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    node = file[name]
    if rng.random() < 0.12 or name == "/":
        _disturb_attribute(node, rng)
    elif rng.random() < 0.08:
        _disturb_link(file, name, rng)
    elif isinstance(node, h5py.Dataset) and (node.size or 0) < 10**7:
        values = node[()]
        attributes = dict(node.attrs)
        kind = node.dtype.kind
        del file[name]
        _put(file, name, values, kind, rng)
        for key, value in attributes.items():
            file[name].attrs[key] = value
    else:
        del file[name]
        if rng.random() < 0.5:
            file[name] = np.ones(3)


def _put(file: h5py.File, name: str, values: Any, kind: str, rng: np.random.Generator) -> None:
    """Something else where a dataset was."""
    if kind in "SO" and rng.random() < 0.8:
        _put_text(file, name, values, rng)
        return
    action = pick(rng, [*RESHAPED, *RETYPED, *STORED, *STORED])
    if action in STORED:
        STORED[action](file, name)
        return
    array = np.asarray(values) if kind not in "SO" else np.ones(3)
    file[name] = (RESHAPED | RETYPED)[action](array)


def _put_text(file: h5py.File, name: str, values: Any, rng: np.random.Generator) -> None:
    text = values.decode("utf-8", "replace") if isinstance(values, bytes) else str(values)
    try:
        content = json.loads(text)
    except ValueError:
        content = None
    if isinstance(content, dict) and rng.random() < 0.85:
        new = as_json(disturb(content, rng))
    else:
        new = pick(rng, ["", "{", '{"a": "\\ud800"}', "[" * 50_000, '{"a":' * 10_000, "null", "NaN", "x" * 10**6, "\\"])
    file[name] = new if rng.random() < 0.5 else np.bytes_(new.encode("utf-8", "replace"))


RESHAPED: dict[str, Callable] = {
    "scalar": lambda a: a.ravel()[0],
    "flat": lambda a: a.ravel(),
    "one more axis": lambda a: a[None],
    "two more axes": lambda a: a[None, None],
    "one less": lambda a: a[:-1] if a.ndim else a,
    "one more": lambda a: np.concatenate([a, a[-1:]]) if a.ndim else np.stack([a, a]),
    "turned": lambda a: a[..., : max(1, a.shape[-1] // 2)].T if a.ndim else a,
    "nothing": lambda a: a.ravel()[:0],
    "no width": lambda a: np.zeros((*a.shape, 0), a.dtype),
    "only the first": lambda a: a[:1] if a.ndim else a,
    "twice": lambda a: np.stack([a, a]),
}
RETYPED: dict[str, Callable] = {
    "nan": lambda a: np.full(a.shape, np.nan),
    "one nan": lambda a: _with_first(a, np.nan),
    "inf": lambda a: _with_first(a, np.inf),
    "huge": lambda a: np.full(a.shape, 1e300),
    "tiny": lambda a: np.full(a.shape, 1e-300),
    "negative": lambda a: -np.abs(np.asarray(a, complex).real) - 1,
    "zero": lambda a: np.zeros(a.shape),
    "complex": lambda a: a * (1 + 1j),
    "largest integers": lambda a: np.full(a.shape, 2**63 - 1, np.int64),
    "bytes": lambda a: np.full(a.shape, b"a"),
    "records": lambda a: np.zeros(a.shape, [("x", "f4"), ("y", "i2")]),
    "half": lambda a: np.ones(a.shape, np.float16),
    "true": lambda a: np.ones(a.shape, bool),
    "reversed": lambda a: np.asarray(a, complex).real.astype(">f8"),
}


def _with_first(a: np.ndarray, value: float) -> np.ndarray:
    changed = np.array(a, complex if np.iscomplexobj(a) else float)
    changed.ravel()[:1] = value
    return changed


def _virtual(file: h5py.File, name: str, shape=(32, 32), source: str = ".", other: str | None = None) -> None:
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource(source, other or name, shape)
    file.create_virtual_dataset(name, layout)


STORED: dict[str, Callable] = {
    "declared": lambda file, name: file.create_dataset(name, (10**6, 10**6), "f4", chunks=(64, 64)),
    "many": lambda file, name: file.create_dataset(name, (10**12,), "u1", chunks=(64,)),
    "large chunk": lambda file, name: file.create_dataset(name, (2**14, 2**14), "f8", chunks=(2**14, 2**13)),
    "large and packed": lambda file, name: file.create_dataset(
        name, data=np.zeros((3000, 3000), "u1"), chunks=(3000, 3000), compression="gzip"
    ),
    "virtual of itself": _virtual,
    "virtual of another": lambda file, name: _virtual(file, name, other="/entry_1/data_1/data"),
    "virtual of a device": lambda file, name: _virtual(file, name, source="/dev/zero"),
    "virtual of nothing": lambda file, name: _virtual(file, name, source="absent.h5"),
    "raw": lambda file, name: file.create_dataset(name, (32, 32), "f4", external=[("/dev/zero", 0, 4096)]),
    "absent": lambda file, name: file.create_dataset(name, dtype="f4", data=h5py.Empty("f4")),
    "unwritten": lambda file, name: file.create_dataset(name, (32, 32), "f4", chunks=(8, 8)),
    "texts": lambda file, name: file.create_dataset(name, data=["a"] * 5, dtype=h5py.string_dtype()),
    "references": lambda file, name: file.create_dataset(name, (3,), dtype=h5py.ref_dtype),
    "ragged": lambda file, name: file.create_dataset(name, (3,), dtype=h5py.vlen_dtype("f4")),
    "group": lambda file, name: file.create_group(name),
}


def _disturb_link(file: h5py.File, name: str, rng: np.random.Generator) -> None:
    del file[name]
    own = Path(file.filename).name
    links = [
        h5py.SoftLink(f"/{name}"),
        h5py.SoftLink("/"),
        h5py.SoftLink("/absent"),
        h5py.ExternalLink(own, f"/{name}"),
    ]
    links += [h5py.ExternalLink("/dev/zero", "/"), h5py.ExternalLink("absent.cxi", "/a"), h5py.ExternalLink(own, "/")]
    links += [h5py.ExternalLink("..", "/"), file["/"], h5py.SoftLink("/entry_1/data_1/data")]
    file[name] = pick(rng, links)


def _disturb_attribute(node: Any, rng: np.random.Generator) -> None:
    names = [*node.attrs, "stack", "units", "content", "signed", "type", "vector", "depends_on"]
    values = [np.bytes_(b"movie"), np.bytes_(b"volume"), np.bytes_(b"shots"), np.bytes_(b"reconstruction"), np.nan, -1]
    values += [
        np.bytes_(b"truth"),
        np.bytes_(b"strain"),
        np.bytes_(b"crystal"),
        np.bytes_(b"uncertainty"),
        "",
        "x" * 9000,
    ]
    values += [np.zeros(0), np.full(5, np.nan), h5py.Empty("f4"), ["a", "b"], 1e300, True, b"\xff\xfe", "mm", "\u65e5"]
    node.attrs[pick(rng, names)] = pick(rng, values)


# checkpoints


def disturb_checkpoint(path: Path, rng: np.random.Generator) -> None:
    """Change one thing among what a checkpoint holds, its tensors included."""
    import torch

    content = torch.load(path, weights_only=True)
    which = rng.random()
    if which < 0.35:
        key = pick(rng, content["weights"])
        content["weights"][key] = odd_tensor(content["weights"][key], rng)
    elif which < 0.45:
        content["weights"] = odd_value(rng, deep=False)
    elif which < 0.8:
        content["settings"] = disturb(content["settings"], rng)
    elif which < 0.9:
        content["scores"] = disturb(content["scores"] or {"peak_over_mean": [1.0, 2.0]}, rng)
    else:
        content[pick(rng, content)] = odd_value(rng, deep=False)
    try:
        torch.save(content, path)
    except (RecursionError, NotImplementedError, RuntimeError):
        torch.save([content["format"]], path)


def odd_tensor(tensor: Any, rng: np.random.Generator) -> Any:
    """Another tensor, or none, in place of weights."""
    import torch

    def whole() -> Any:
        return tensor.float() if tensor.is_floating_point() else tensor.float().reshape(-1)

    made = {
        "value": lambda: odd_value(rng, deep=False),
        "list": lambda: whole().flatten()[:5].tolist(),
        "sparse": lambda: whole().to_sparse(),
        "meta": lambda: torch.empty(tensor.shape, device="meta"),
        "expanded": lambda: torch.ones(1).expand(10**6, 10**6),
        "expanded as it was": lambda: torch.ones(()).expand(tensor.shape),
        "complex": lambda: whole().to(torch.complex64),
        "half": lambda: whole().half(),
        "double": lambda: whole().double() * 1e300,
        "integers": lambda: whole().to(torch.int64),
        "nan": lambda: torch.full(tensor.shape, torch.nan),
        "other shape": lambda: whole()[None],
        "empty": lambda: whole().flatten()[:0],
        "quantised": lambda: torch.quantize_per_tensor(whole(), 0.1, 0, torch.quint8),
        "nested": lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
        "parameter": lambda: torch.nn.Parameter(whole()),
        "strided": lambda: torch.as_strided(torch.ones(4), (3, 3), (0, 1)),
    }
    return made[pick(rng, made)]()


def archive_bomb(path: Path) -> None:
    """A checkpoint whose archive unpacks to a gigabyte of zeros."""
    packed = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)
    with packed as archive, archive.open("archive/data.pkl", "w", force_zip64=True) as member:
        for _ in range(1024):
            member.write(bytes(2**20))


# corpora


def disturb_corpus(folder: Path, rng: np.random.Generator) -> None:
    """Change one of the JSON files of a corpus, or what kind of file something is."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    texts = [path for path in files if path.suffix in (".json", ".jsonl")]
    top = [path for path in texts if path.parent == folder]
    victim = pick(rng, top if rng.random() < 0.6 else texts)
    if rng.random() < 0.12:
        victim = pick(rng, files)
        victim.unlink()
        if rng.random() < 0.5:
            victim.mkdir()
        elif rng.random() < 0.5:
            victim.symlink_to("/dev/zero")
        return
    lines = [json.loads(line) for line in victim.read_text().splitlines()] if victim.suffix == ".jsonl" else None
    if lines is None:
        write_json(victim, disturb(json.loads(victim.read_text()), rng))
    else:
        at = int(rng.integers(len(lines)))
        lines[at] = disturb(lines[at], rng)
        victim.write_text("".join(as_json(line) + "\n" for line in lines))
