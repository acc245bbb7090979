"""The last step of a corpus: once all shards are there, its card in JSON and in words."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.io.atomic import atomic_path
from cdipipe.io.corpus.content import DoneContent
from cdipipe.io.corpus.facts import gather_facts
from cdipipe.io.corpus.plan import Plan, digest_of, read_json, shard_name, write_json
from cdipipe.io.corpus.read import MOST_METADATA, Corpus, check_no_larger
from cdipipe.io.corpus.shard import STORE
from cdipipe.io.hdf5.faults import faults_are_input_errors
from cdipipe.provenance import collect

BINS = 20


def unfinished_shards(folder: Path, plan: Plan) -> list[int]:
    """Shards that are not there yet, or belong to another plan."""
    done = {shard: read_json(folder / f"{shard_name(shard)}.json", DoneContent) for shard in range(plan.shards)}
    return [shard for shard, content in done.items() if content is None or content.get("plan") != plan.digest]


def finish(folder: Path, plan: Plan) -> Corpus:
    """Write ``card.md`` and ``corpus.json`` of a corpus whose shards are all there.

    Raises
    ------
    InputError   shards are missing (counted, the first one named), or two were made by different code
    """
    missing = unfinished_shards(folder, plan)
    if missing:
        raise InputError(
            f"{folder}: {len(missing)} of {plan.shards} shards are missing, first {shard_name(missing[0])}"
        )
    shards = [read_json(folder / f"{shard_name(shard)}.json", DoneContent) for shard in range(plan.shards)]
    codes = {shard["code"] for shard in shards}
    if len(codes) > 1:
        other = next(i for i, shard in enumerate(shards) if shard["code"] != shards[0]["code"])
        raise InputError(
            f"{folder}: {shard_name(0)} and {shard_name(other)} were made by different code; --rebuild makes them again"
        )
    content = _card(folder, plan, shards)
    with atomic_path(folder / "card.md") as part:
        part.write_text(_in_words(content), encoding="utf-8")
    write_json(folder / "corpus.json", content)
    return Corpus(folder, plan, content)


def _card(folder: Path, plan: Plan, shards: list[dict[str, Any]]) -> dict[str, Any]:
    corpus = Corpus(folder, plan, {})
    photons, phases, supports = _columns(corpus.records(), ("photons", "phase_range_rad", "support_px"))
    provenance = collect()
    return {
        **plan.to_dict(),
        "plan_digest": plan.digest,
        "digest": digest_of([shard["digest"] for shard in shards]),
        "samples": len(photons),
        "arrays": _arrays(folder / shard_name(0) / STORE),
        "bytes": sum(path.stat().st_size for path in folder.glob("shard-*/**/*") if path.is_file()),
        "photons": _histogram(photons),
        "phase_range_rad": _histogram(phases),
        "support_px": _histogram(supports),
        "facts": gather_facts(corpus.records()),
        "build_seconds": round(sum(shard["seconds"] for shard in shards), 1),
        "shard_digests": [shard["digest"] for shard in shards],
        "code": shards[0]["code"],
        "versions": provenance["versions"] | shards[0]["versions"],
        "command": provenance["command"],
        "time_utc": datetime.fromtimestamp(time.time(), UTC).isoformat(timespec="seconds"),
    }


def _columns(records: Iterable[dict[str, Any]], names: tuple[str, ...]) -> np.ndarray:
    return np.array([[record[name] for name in names] for record in records], dtype=np.float64).T


def _arrays(store: Path) -> dict[str, dict[str, Any]]:
    zarr = extras.load("zarr", "a corpus")
    for path in (store / "zarr.json", *store.glob("*/zarr.json")):
        check_no_larger(path, MOST_METADATA)
    with faults_are_input_errors(store, "damaged; `cdipipe corpus` on the same folder repairs it", Exception):
        group = zarr.open_group(store, mode="r", zarr_format=3)
        return {
            name: {"sample_shape": list(array.shape[1:]), "dtype": str(array.dtype)}
            for name, array in sorted(group.arrays())
        }


def _histogram(values: np.ndarray) -> dict[str, Any]:
    low, high = float(values.min()), float(values.max())
    counts, edges = np.histogram(values, BINS, range=(low, high if high > low else low + 1))
    return {
        "min": low,
        "mean": float(values.mean()),
        "max": high,
        "counts": counts.tolist(),
        "edges": [float(f"{edge:.6g}") for edge in edges],
    }


def _in_words(card: dict[str, Any]) -> str:
    """The card as Markdown."""
    name = card["kind"]
    lines = [
        f"# Corpus of {card['samples']} {name}",
        "",
        "![contact sheet](contact.png)",
        "",
        f"Made by cdipipe {card['versions']['cdipipe']}, finished {card['time_utc']}, {card['build_seconds']:g} s of "
        f"building (last run of each shard) in {card['shards']} shards of {card['chunk_samples']} samples per chunk; "
        f"{card['bytes'] / 2**20:.1f} MiB. Sample i depends on the parameters, the seed {card['seed']} and i only: it "
        f"is sample i of `cdipipe simulate {name}`. Digest of all data: `{card['digest']}`.",
        "",
        "| array | shape of a sample | type |",
        "|---|---|---|",
        *(f"| {key} | {a['sample_shape']} | {a['dtype']} |" for key, a in card["arrays"].items()),
        "",
        "| per sample | least | mean | most |",
        "|---|---|---|---|",
        *(
            f"| {heading} | {card[key]['min']:.5g} | {card[key]['mean']:.5g} | {card[key]['max']:.5g} |"
            for key, heading in (
                ("photons", "photons detected"),
                ("phase_range_rad", "phase range on the support, rad"),
                ("support_px", "pixels of the support"),
            )
        ),
        *(
            f"| {name}{_how_many(told, card)} | {told['min']:.4g} | {told['mean']:.4g} | {told['max']:.4g} |"
            for name, told in card["facts"]["numbers"].items()
        ),
        "",
        *(
            f"Samples by {name}: " + ", ".join(f"{word} ({count})" for word, count in counts.items()) + "."
            for name, counts in card["facts"]["words"].items()
        ),
        "",
        "Photons detected per sample:",
        "",
        "```",
        *_bars(card["photons"]),
        "```",
        "",
        "Parameters:",
        "",
        "```json",
        json.dumps(card["parameters"], indent=1),
        "```",
        "",
        f"Versions: {', '.join(f'{key} {value}' for key, value in card['versions'].items())}; code `{card['code']}`.",
        "",
    ]
    return "\n".join(lines)


def _how_many(told: dict[str, Any], card: dict[str, Any]) -> str:
    return "" if told["known"] == card["samples"] else f", {told['known']} samples"


def _bars(histogram: dict[str, Any]) -> list[str]:
    most = max(histogram["counts"])
    rows = zip(histogram["edges"], histogram["counts"], strict=False)
    return [f"{edge:>12.6g} {'#' * round(40 * count / most)} {count}" for edge, count in rows]
