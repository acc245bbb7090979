"""Making corpora: what one is made of, and its shards, side by side or one by one."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

from cdipipe.errors import InputError


def make_plan(kind: str, folder: Path, wanted: dict, settings: list[str] | None):
    """The plan that the options ask for; what is not given comes from the corpus in the folder, if there is one.

    Raises
    ------
    InputError   an option is missing or impossible
    """
    from cdipipe.io.corpus.plan import Plan, read_plan, samples_per_chunk
    from cdipipe.provenance import file_sha256
    from cdipipe.settings import parse_settings, validate
    from cdipipe.simulation.batches import sample_bytes
    from cdipipe.simulation.registry import get_scene

    scene = get_scene(kind)
    found = read_plan(folder)
    given = {key: value for key, value in wanted.items() if value is not None}
    if found is not None:
        given = {key: given.get(key, getattr(found, key)) for key in wanted}
    if "count" not in given:
        raise InputError("--count: say how many samples the corpus should have")
    keep = found is not None and settings is None and found.kind == kind
    parameters = validate(scene.parameters, found.parameters if keep else parse_settings(settings or []), kind)
    if getattr(parameters, "count", 1) != 1:
        raise InputError(f"{kind}.count: a sample of a corpus is one pattern; --count says how many samples")
    if given.setdefault("shards", 1) > given["count"]:
        raise InputError(f"--shards {given['shards']}: more than there are samples ({given['count']})")
    size = sample_bytes(scene, parameters)
    return Plan(
        kind=kind,
        parameters=parameters.model_dump(mode="json"),
        seed=given.get("seed", 0),
        count=given["count"],
        shards=given["shards"],
        chunk_samples=given.get("chunk_samples") or samples_per_chunk(size),
        inputs={path.name: file_sha256(path) for path in parameters.all_files()},
    )


@functools.cache
def code_of_samples(kind: str) -> str:
    """Digest of the code that decides on the values of a scene's samples."""
    from cdipipe.import_closure import code_digest_of

    return code_digest_of(["cdipipe.simulation.batches"], {"cdipipe.scenes": [kind]})


def build(folder: Path, plan, shards: list[int], workers: int, rebuild: bool) -> None:
    """Make what is missing of some shards, one process for each at a time."""
    from cdipipe.progress import progress

    code = code_of_samples(plan.kind)
    samples = sum(len(plan.shard_range(shard)) for shard in shards)
    with progress(samples, f"corpus {plan.kind}") as bar:
        if workers == 1 or len(shards) == 1:
            for shard in shards:
                build_one(folder, plan, shard, code, rebuild, bar.update)
            return
        _build_side_by_side(folder, plan, shards, workers, (code, rebuild), bar)


def _build_side_by_side(folder: Path, plan, shards: list[int], workers: int, how: tuple, bar) -> None:
    """One process per shard at a time; a shard that fails leaves the others to their end."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor, as_completed

    context = multiprocessing.get_context("spawn")
    failures = {}
    with ProcessPoolExecutor(min(workers, len(shards)), context) as pool:
        jobs = {pool.submit(build_one, folder, plan, shard, *how): shard for shard in shards}
        for job in as_completed(jobs):
            if error := job.exception():
                failures[jobs[job]] = error
            else:
                bar.update(len(plan.shard_range(jobs[job])))
    if failures:
        raise failures[min(failures)]


def build_one(folder: Path, plan, shard: int, code: str, rebuild: bool = False, on_chunk=lambda samples: None) -> int:
    """Make what is missing of one shard, on one core; returns the number of samples drawn."""
    from cdipipe.io.corpus.shard import build_shard
    from cdipipe.settings import validate
    from cdipipe.simulation.batches import draw_batch
    from cdipipe.simulation.registry import get_scene

    _keep_to_one_core()
    scene = get_scene(plan.kind)
    parameters = validate(scene.parameters, plan.parameters, plan.kind)
    return build_shard(
        folder,
        plan,
        shard,
        lambda indices: draw_batch(scene, parameters, plan.seed, indices),
        code,
        rebuild,
        on_chunk,
        lambda line: print(f"{folder}: {line}", file=sys.stderr, flush=True),
    )


def _keep_to_one_core() -> None:
    """For torch, too, which few scenes load, and which takes longer to load than a shard of most to make."""
    os.environ["OMP_NUM_THREADS"] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
