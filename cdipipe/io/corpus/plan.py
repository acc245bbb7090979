"""What a corpus is on disk, and the plan that all its shards share.

::

    DIR/plan.json               kind, parameters, seed, count, shards, samples per chunk; written first
    DIR/shard-0003/data.zarr    zarr v3 group; arrays (samples, ...), one chunk file per array and chunk
    DIR/shard-0003/records-00000.jsonl   one line per sample of chunk 0
    DIR/shard-0003/chunk-00000.json      written after chunk 0 with the SHA-256 of all its files
    DIR/shard-0003.json         written after the last chunk: the shard is whole
    DIR/corpus.json card.md contact.png  written once all shards are there
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.io.corpus.content import FORMAT, PlanContent
from cdipipe.settings import read_text

CHUNK_BYTES = 32 * 2**20
"""Uncompressed size that a chunk should not exceed; what a builder and a reader hold at once is a few of these."""
LARGEST_CHUNK = 256


@dataclass(frozen=True)
class Plan:
    """What a corpus is made of; two corpora of equal plans, made by the same code, are bit-identical.

    Parameters
    ----------
    kind, parameters, seed : scene, all its parameters as plain data, and the seed; sample ``i`` depends on nothing else
    count, shards : samples in all, and over how many shards they are spread, in order
    chunk_samples : samples per chunk
    inputs : name -> SHA-256 of the files that the samples are drawn from
    """

    kind: str
    parameters: dict[str, Any]
    seed: int
    count: int
    shards: int
    chunk_samples: int
    inputs: dict[str, str] = field(default_factory=dict)

    def shard_range(self, shard: int) -> range:
        """Global indices of the samples of a shard."""
        return range(shard * self.count // self.shards, (shard + 1) * self.count // self.shards)

    def chunk_range(self, shard: int, chunk: int) -> range:
        """Global indices of the samples of a chunk of a shard."""
        start = chunk * self.chunk_samples
        return self.shard_range(shard)[start : start + self.chunk_samples]

    def chunk_count(self, shard: int) -> int:
        """Chunks of a shard."""
        return -(-len(self.shard_range(shard)) // self.chunk_samples)

    def chunk_ranges(self, shard: int) -> list[range]:
        """Global indices of the samples of each chunk of a shard."""
        return [self.chunk_range(shard, chunk) for chunk in range(self.chunk_count(shard))]

    @property
    def digest(self) -> str:
        """First 16 hexadecimal digits of the SHA-256 of the plan."""
        return digest_of(self.to_dict())[:16]

    def to_dict(self) -> dict[str, Any]:
        return {"format": FORMAT, **asdict(self)}


def canonical(content: Any) -> str:
    """JSON text that is the same for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest_of(content: Any) -> str:
    """SHA-256 of plain data."""
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def shard_name(shard: int) -> str:
    return f"shard-{shard:04d}"


def samples_per_chunk(sample_bytes: int) -> int:
    """Largest power of two of samples that fit ``CHUNK_BYTES``, 1 to 256."""
    fitting = max(1, min(LARGEST_CHUNK, CHUNK_BYTES // max(1, sample_bytes)))
    return 1 << (fitting.bit_length() - 1)


def write_json(path: Path, content: Any) -> None:
    """Readable JSON, whole or not at all."""
    with atomic_path(path) as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read_json(path: Path, model: type[BaseModel] | None = None) -> dict[str, Any] | None:
    """Content of a JSON file; None where it is missing or damaged.

    Parameters
    ----------
    model : what it must hold
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(read_text(path))
        canonical(content)  # NaN and infinity, which JSON does not know, are damage
        if model is not None:
            model.model_validate(content)
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def read_plan(folder: Path) -> Plan | None:
    """The plan of a corpus; None where the folder or its plan does not exist.

    Raises
    ------
    InputError   the plan is damaged or of another version
    """
    path = folder / "plan.json"
    if not path.exists():
        return None
    content = read_json(path, PlanContent)
    if content is None:
        raise InputError(f"{path}: not the plan of a corpus of format {FORMAT}, or damaged")
    return Plan(**{name: value for name, value in content.items() if name != "format"})


def settle_plan(folder: Path, plan: Plan, rebuild: bool = False) -> None:
    """Make ``plan`` the plan of the corpus in ``folder``, or check that it already is.

    Several shards may do so at once.

    Parameters
    ----------
    rebuild : replace another plan; what was made by it counts as missing from then on

    Raises
    ------
    InputError   the folder holds other things, or a corpus with other settings (named)
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not os.access(folder, os.W_OK):
        raise PermissionError(13, os.strerror(13), str(folder))
    path = folder / "plan.json"
    if not path.exists():
        others = [entry.name for entry in folder.iterdir() if entry.name[0] != "." and entry.name != "plan.json"]
        if others and not path.exists():
            raise InputError(f"{folder}: is not empty and holds no corpus ({sorted(others)[0]}); take an empty folder")
        _create_exclusively(path, plan)
    found = read_plan(folder)
    if found == plan:
        return
    if not rebuild:
        raise InputError(
            f"{folder}: holds a corpus with other settings: {_difference(found, plan)}; take another folder, or "
            "--rebuild to replace it"
        )
    write_json(path, plan.to_dict())


def _create_exclusively(path: Path, plan: Plan) -> None:
    """Write the plan unless another process was faster."""
    part = path.with_name(f".plan.{os.getpid()}.part.json")
    try:
        part.write_text(json.dumps(plan.to_dict(), indent=1) + "\n", encoding="utf-8")
        os.link(part, path)
    except FileExistsError:
        pass
    finally:
        part.unlink(missing_ok=True)


def _difference(found: Plan, asked: Plan) -> str:
    old, new = _flat(found.to_dict()), _flat(asked.to_dict())
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)] or ["parameters"]
    more = f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
    return f"{keys[0]} is {old.get(keys[0])}, now asked for {new.get(keys[0])}{more}"


def _flat(mapping: dict[str, Any], head: str = "") -> dict[str, Any]:
    flat = {}
    for key, value in mapping.items():
        flat.update(_flat(value, f"{head}{key}.") if isinstance(value, dict) else {f"{head}{key}": value})
    return flat


def check_arrays(names: Iterable[str], card: Mapping[str, Any], folder: Path) -> None:
    """Raise InputError for an array that a corpus does not have; the message lists those that it has."""
    for name in names:
        if name not in card["arrays"]:
            raise InputError(f"{folder}: has no array '{name}'; it has {', '.join(card['arrays'])}")
