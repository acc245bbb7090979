"""``cdipipe corpus``: many samples of a scene in zarr shards, for training."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError

SHOWN = 8
"""Samples on the contact sheet."""
PICTURE = "extra_picture"
"""Array of pictures that a scene drew."""


def command(
    kind: Annotated[str, typer.Argument(help="a scene, see `cdipipe scenes`")],
    output: Annotated[Path, typer.Option("-o", "--output", help="folder of the corpus")],
    count: Annotated[int | None, typer.Option(min=1, help="samples in all; an existing corpus keeps its own")] = None,
    shards: Annotated[int | None, typer.Option(min=1, help="parts that can be made side by side [default: 1]")] = None,
    shard: Annotated[int | None, typer.Option(min=0, help="make this part only, 0 to shards - 1")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="sample i depends on parameters, seed and i [default: 0]")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="key=value, repeated; see `cdipipe scenes NAME`")
    ] = None,
    chunk: Annotated[
        int | None, typer.Option(min=1, max=65536, help="samples per chunk [default: 1 to 256, at most 32 MiB]")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=1024, help="processes, one shard each at a time")] = 1,
    finish: Annotated[bool, typer.Option("--finish", help="make no samples, only card and contact sheet")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="make nothing, check every checksum")] = False,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="replace what other settings or code made")] = False,
) -> None:
    """Make a corpus, or go on with one; once all its shards are there, its card and contact sheet."""
    from cdipipe.io.corpus.plan import settle_plan
    from cdipipe.simulation.corpora import build, make_plan

    if finish and (shard is not None or verify):
        raise InputError("--finish: goes without --shard and --verify")
    wanted = {"count": count, "shards": shards, "seed": seed, "chunk_samples": chunk}
    plan = make_plan(kind, output, wanted, settings)
    if shard is not None and shard >= plan.shards:
        raise InputError(f"--shard {shard}: the corpus has {plan.shards} shards, 0 to {plan.shards - 1}")
    chosen = range(plan.shards) if shard is None else [shard]
    if verify:
        _verify(output, plan, chosen)
        return
    settle_plan(output, plan, rebuild)
    try:
        if not finish:
            build(output, plan, list(chosen), workers, rebuild)
        if shard is None:
            _finish(output, plan)
    except KeyboardInterrupt:
        print(f"cdipipe: stopped by Ctrl-C; the same command goes on with {output}", file=sys.stderr)
        raise SystemExit(130) from None


def _verify(folder: Path, plan, shards) -> None:
    """Complain about the first damaged or missing chunk and count the others."""
    from cdipipe.io.corpus.plan import read_plan, shard_name
    from cdipipe.io.corpus.shard import shard_faults
    from cdipipe.progress import progress

    if read_plan(folder) != plan:
        raise InputError(f"{folder}: holds no corpus with these settings")
    faults = {}
    for shard in progress(shards, "verify"):
        faults |= {(shard, chunk): fault for chunk, fault in shard_faults(folder, plan, shard).items()}
    if faults:
        names = sorted({shard_name(shard) for shard, _ in faults})
        (shard, chunk), fault = next(iter(faults.items()))
        raise InputError(
            f"{folder}: {len(faults)} chunks damaged or missing in {', '.join(names[:8])}; first {shard_name(shard)} "
            f"chunk {chunk}: {fault}; `cdipipe corpus {plan.kind} -o {folder}` builds them again"
        )
    print(f"{folder}: {len(shards)} shards, all checksums right")


def _finish(folder: Path, plan) -> None:
    from cdipipe.figures.canvas import save_figure
    from cdipipe.figures.contact import contact_sheet
    from cdipipe.io.corpus.card import finish
    from cdipipe.provenance import collect

    corpus = finish(folder, plan)
    samples = [_planes(corpus, *place) for place in _shown(corpus)]
    title = f"{plan.kind}: {len(samples)} of {plan.count} samples, seed {plan.seed}"
    save_figure(contact_sheet(samples, title), folder / "contact.png", collect()["command"])
    card = corpus.card
    print(
        f"{folder}: {card['samples']} {plan.kind} in {plan.shards} shards, {card['bytes'] / 2**20:.1f} MiB, "
        f"{card['photons']['mean']:.6g} photons per sample"
    )


def _shown(corpus) -> list[tuple[tuple[int, int], int]]:
    """(chunk, place in it) of samples for the sheet: those with different pictures of their own, then the first."""
    pictured, last = [], None
    for chunk in corpus.chunks if PICTURE in corpus.card["arrays"] else []:
        for index, picture in enumerate(corpus.read_chunk(*chunk, [PICTURE])[PICTURE]):
            if picture.any() and (last is None or (picture != last).any()):
                pictured.append((chunk, index))
                last = picture
        if len(pictured) >= SHOWN:
            break
    first = [(chunk, i) for chunk in corpus.chunks[:SHOWN] for i in range(len(corpus.chunk_indices(*chunk)))]
    return list(dict.fromkeys(pictured + first))[:SHOWN]


def _planes(corpus, chunk: tuple[int, int], index: int) -> dict:
    """Number, middle planes and picture of one sample."""
    from cdipipe.figures.contact import middle_plane

    names = ("intensity", "object", "support", "measured")
    arrays = corpus.read_chunk(*chunk, [*names, *{PICTURE}.intersection(corpus.card["arrays"])])
    planes = {name: middle_plane(arrays[name][index]) for name in names}
    if PICTURE in arrays:
        planes[PICTURE] = arrays[PICTURE][index]
    return planes | {"number": corpus.chunk_indices(*chunk)[index]}
