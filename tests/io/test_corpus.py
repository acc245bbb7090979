"""Corpora: restart after kills, damage, independence of shards and order, refusals."""

from __future__ import annotations

import hashlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cdipipe.io.corpus.plan import read_plan
from cdipipe.io.corpus.read import open_corpus

FIXED_CODE = """import sys
from cdipipe.cli import main
from cdipipe.simulation import corpora
corpora.code_of_samples = lambda kind: "fixed"
sys.exit(main.run(sys.argv[1:]))"""
"""A command line whose digest of the code stays the same while the code is edited."""
SET = ("--set", "size=32", "--set", "photons=1e4")


def arguments(folder, *extra, count=60, shards=2, chunk=8):
    return ["corpus", "polygons", "-o", folder, "--count", count, "--shards", shards, "--chunk", chunk, *SET, *extra]


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of the shards themselves."""
    files = sorted(path for path in folder.glob("shard-*/**/*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module", autouse=True)
def fixed_code():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cdipipe.simulation.corpora.code_of_samples", lambda kind: "fixed")
        yield


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("corpus") / "c"
    assert run(list(map(str, arguments(folder)))) == 0
    return folder


@pytest.fixture
def corpus(finished, tmp_path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(finished, tmp_path / "c"))


def read_all(folder: Path, name: str) -> np.ndarray:
    corpus = open_corpus(folder)
    return np.concatenate([corpus.read_chunk(*chunk, [name])[name] for chunk in corpus.chunks])


def test_samples_are_those_of_simulate(finished):
    from cdipipe.settings import validate
    from cdipipe.simulation.exposure import simulate
    from cdipipe.simulation.registry import get_scene

    scene = get_scene("polygons")
    parameters = validate(scene.parameters, {"size": 32, "photons": 1e4, "count": 60}, "polygons")
    measurement, truth = simulate(scene, parameters, seed=0)
    np.testing.assert_array_equal(read_all(finished, "intensity"), measurement.intensity)
    np.testing.assert_array_equal(read_all(finished, "object"), truth.object)
    np.testing.assert_array_equal(read_all(finished, "support"), truth.support)
    assert read_all(finished, "measured").all()


def test_samples_do_not_depend_on_shards_chunks_or_order(finished, tmp_path, cli):
    other = tmp_path / "other"
    for shard in (4, 0, 3, 1, 2):
        assert cli(*arguments(other, "--shard", shard, shards=5, chunk=7)).code == 0
    assert not (other / "corpus.json").exists()
    assert cli(*arguments(other, "--finish", shards=5, chunk=7)).code == 0
    for name in ("intensity", "object"):
        np.testing.assert_array_equal(read_all(other, name), read_all(finished, name))
    assert list(open_corpus(other).records()) == list(open_corpus(finished).records())


def test_records_and_card_tell_what_is_inside(finished):
    corpus = open_corpus(finished)
    records = list(corpus.records())
    intensity = read_all(finished, "intensity")
    assert [record["index"] for record in records] == list(range(60))
    np.testing.assert_allclose([record["photons"] for record in records], intensity.sum((1, 2)))
    card = corpus.card
    assert card["samples"] == sum(card["photons"]["counts"]) == 60
    assert card["arrays"]["object"] == {"sample_shape": [32, 32], "dtype": "complex64"}
    assert card["phase_range_rad"]["max"] <= 2 * np.pi + 1e-5
    assert card["seed"] == 0 and card["versions"]["cdipipe"]
    assert (finished / "contact.png").read_bytes().startswith(b"\x89PNG")
    assert "# Corpus of 60 polygons" in (finished / "card.md").read_text()


def test_masks_differ_between_samples(tmp_path, cli):
    folder = tmp_path / "c"
    assert cli(*arguments(folder, "--set", "detector.mask.dead_share=0.1", count=6, shards=1)).code == 0
    measured = read_all(folder, "measured")
    assert 0.8 < measured.mean() < 0.97
    assert (measured[0] != measured[1]).any()
    assert (read_all(folder, "intensity")[~measured] == 0).all()


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_it_goes_on_to_the_same_bits(finished, tmp_path, cli, seed):
    folder = tmp_path / "c"
    rng = random.Random(seed)
    command = [sys.executable, "-c", FIXED_CODE, *map(str, arguments(folder))]
    wanted = rng.randint(0, 40)
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None and sum(len(files) for _, _, files in os.walk(folder)) < wanted:
        time.sleep(0.0005)
    time.sleep(rng.uniform(0, 0.01))
    process.send_signal(signal.SIGKILL)
    process.wait()
    outcome = cli(*arguments(folder))
    assert outcome.code == 0, outcome.err
    assert digests(folder) == digests(finished)
    assert not list(folder.rglob("*.part*"))


def damage(path: Path, offset: int = -9) -> None:
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "name",
    [
        "data.zarr/intensity/c.2.0.0",
        "data.zarr/object/zarr.json",
        "records-00001.jsonl",
        "chunk-00002.json",
    ],
)
def test_a_flipped_byte_is_found_and_only_its_chunk_is_built_again(finished, corpus, cli, name):
    damage(corpus / "shard-0001" / name)
    untouched = {path: path.stat().st_mtime_ns for path in (corpus / "shard-0000").rglob("*")}
    complaint = cli("corpus", "polygons", "-o", corpus, "--verify").complaint
    assert "1 chunks damaged" in complaint and "shard-0001" in complaint and "shard-0000" not in complaint
    outcome = cli("corpus", "polygons", "-o", corpus)
    assert outcome.code == 0
    assert "shard-0001 chunk" in outcome.err and "damaged" in outcome.err and "built again" in outcome.err
    assert json.loads((corpus / "shard-0001.json").read_text())["samples_drawn"] == 8
    assert digests(corpus) == digests(finished)
    assert untouched == {path: path.stat().st_mtime_ns for path in (corpus / "shard-0000").rglob("*")}
    assert cli("corpus", "polygons", "-o", corpus, "--verify").code == 0


@pytest.mark.parametrize("what", ["zarr.json", "intensity/zarr.json", "intensity/c.0.0.0"])
def test_a_device_in_place_of_a_file_is_not_read(corpus, what):
    from cdipipe.errors import InputError

    file = corpus / "shard-0000/data.zarr" / what
    file.unlink()
    file.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="shard-0000 chunk 0 is damaged or missing"):
        read_all(corpus, "intensity")


def test_a_damaged_chunk_is_not_read(corpus, cli):
    from cdipipe.errors import InputError

    damage(corpus / "shard-0000/data.zarr/intensity/c.0.0.0", 40)
    with pytest.raises(InputError, match="shard-0000 chunk 0 is damaged"):
        read_all(corpus, "intensity")


@pytest.mark.parametrize(
    "changed, named",
    [
        (("--seed", "3"), "seed is 0, now asked for 3"),
        (("--set", "phase_range_rad=1.0"), "parameters.phase_range_rad is 6.28"),
        (("--count", "61"), "count is 60, now asked for 61"),
    ],
)
def test_other_settings_in_a_used_folder_are_refused(finished, cli, changed, named):
    before = digests(finished)
    assert named in cli(*arguments(finished), *changed).complaint
    assert digests(finished) == before


def test_rebuild_replaces_and_a_shard_without_it_refuses(corpus, cli):
    assert cli(*arguments(corpus, "--seed", 3, "--shard", 0, "--rebuild")).code == 0
    assert read_plan(corpus).seed == 3
    assert "another version" in cli(*arguments(corpus, "--seed", 3, "--shard", 1)).complaint
    assert cli(*arguments(corpus, "--seed", 3, "--rebuild")).code == 0
    assert cli(*arguments(corpus, "--seed", 3, "--verify")).code == 0


def test_other_code_is_refused_until_rebuild(corpus, cli, monkeypatch):
    monkeypatch.setattr("cdipipe.simulation.corpora.code_of_samples", lambda kind: "other")
    assert "another version of the code" in cli(*arguments(corpus)).complaint
    assert cli(*arguments(corpus, "--rebuild")).code == 0
    assert open_corpus(corpus).card["code"] == "other"


def test_bad_input_is_one_line(tmp_path, cli):
    folder = tmp_path / "c"
    assert "count" in cli("corpus", "polygons", "-o", folder).complaint
    assert "photons" in cli(*arguments(folder, "--set", "photons=-1")).complaint
    assert "--shard 2" in cli(*arguments(folder, "--shard", 2)).complaint
    assert "more than there are samples" in cli(*arguments(folder, count=1)).complaint
    assert "--count says how many" in cli(*arguments(folder, "--set", "count=3")).complaint
    assert "unknown scene" in cli("corpus", "polygon", "-o", folder, "--count", 3).complaint
    assert "no corpus" in cli(*arguments(folder, "--verify")).complaint
    assert not folder.exists()
    folder.mkdir()
    (folder / "holiday.jpg").touch()
    assert "holiday.jpg" in cli(*arguments(folder)).complaint
    (tmp_path / "file").touch()
    assert "file" in cli(*arguments(tmp_path / "file" / "c")).complaint
    assert "shards are missing" in cli(*arguments(tmp_path / "d", "--finish")).complaint


def test_a_damaged_plan_is_named(corpus, cli):
    (corpus / "plan.json").write_text("{")
    assert "plan.json" in cli("corpus", "polygons", "-o", corpus).complaint


def test_a_folder_that_may_not_be_written(tmp_path, cli, monkeypatch):
    folder = tmp_path / "c"
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    assert str(folder) in cli(*arguments(folder)).complaint
    assert list(folder.iterdir()) == []


def test_a_full_disk_ends_in_one_line_and_the_next_call_goes_on(finished, tmp_path, cli):
    folder = tmp_path / "c"
    assert cli(*arguments(folder, "--shard", 0)).code == 0
    whole = digests(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        outcome = cli(*arguments(folder, "--shard", 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "shard-0001: File too large" in outcome.complaint
    assert digests(folder).items() >= whole.items()
    assert not (folder / "shard-0001.json").exists()
    assert cli(*arguments(folder)).code == 0
    assert digests(folder) == digests(finished)


def test_a_second_writer_of_a_shard_is_refused(corpus, cli):
    from cdipipe.io.corpus.shard import only_writer

    damage(corpus / "shard-0001/records-00001.jsonl")
    with only_writer(corpus / "shard-0001"):
        assert "another process" in cli(*arguments(corpus, "--shard", 1)).complaint
    assert cli(*arguments(corpus, "--shard", 1)).code == 0


def test_two_processes_make_the_same(finished, tmp_path, cli):
    assert cli(*arguments(tmp_path / "c", "--workers", 2)).code == 0
    assert digests(tmp_path / "c") == digests(finished)


def test_other_code_that_draws_the_same_leaves_the_digest_of_the_data(finished, tmp_path, cli, monkeypatch):
    """So that who builds a published corpus again sees that it is the same."""
    monkeypatch.setattr("cdipipe.simulation.corpora.code_of_samples", lambda kind: "other")
    assert cli(*arguments(tmp_path / "c")).code == 0
    built, before = (json.loads((folder / "corpus.json").read_text()) for folder in (tmp_path / "c", finished))
    assert built["code"] != before["code"] and built["digest"] == before["digest"]
