"""Full disk, read-only folder, flipped byte, missing input: each is named in one line; mended, the study goes on."""

from __future__ import annotations

import contextlib
import os
import subprocess

import h5py
import pytest
import studies
import yaml

from cdipipe.study.config import load_config
from cdipipe.study.preflight import COMPRESSED
from cdipipe.study.sizes import disk_bytes

STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "seed": 1, "set": {"size": 32, "photons": 1e5}}},
    "methods": {"er": {"method": "er", "iterations": 5}},
    "keep_runs": False,
}


def write_study(folder, **changes):
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | changes, sort_keys=False))
    return path


def lines_with(text: str, *words: str) -> list[str]:
    """Lines that have all these words."""
    return [line for line in text.splitlines() if all(word in line for word in words)]


@contextlib.contextmanager
def mounted(place, *options: str):
    """A small disk of its own at a place; skips where that is not allowed."""
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(place)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting a disk of its own needs root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_missing_input_is_one_line_before_anything_runs(tmp_path):
    entry = {"import": {"files": ["counts.npy"], "mask": "gaps.npy"}}
    code, text = studies.run(tmp_path, write_study(tmp_path, measurements={"mine": entry}))
    assert code != 0 and "Traceback" not in text
    said = lines_with(text, "measurements.mine", "counts.npy", "no such file")
    assert len(said) == 1 and said[0].startswith("study.yaml: "), text
    assert not (tmp_path / "out").exists()


def test_a_folder_that_may_not_be_written_is_one_line_before_anything_runs(tmp_path):
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-o", "ro"):
        code, text = studies.run(tmp_path, write_study(tmp_path, output="disk/out"))
    assert code != 0 and "Traceback" not in text
    assert len(lines_with(text, "disk/out", "may not be written")) == 1, text


def test_an_output_below_a_file_is_one_line(tmp_path):
    (tmp_path / "disk").write_text("no folder")
    code, text = studies.run(tmp_path, write_study(tmp_path, output="disk/out"))
    assert code != 0 and len(lines_with(text, "disk", "not a folder")) == 1, text


def flipped(file, place: int) -> bytes:
    """Flip a bit as a disk fault does, the file's times untouched; what the file was."""
    whole, changed = file.read_bytes(), file.stat()
    damaged = bytearray(whole)
    damaged[place] ^= 1
    file.write_bytes(damaged)
    os.utime(file, ns=(changed.st_atime_ns, changed.st_mtime_ns))
    return whole


def repair(file, whole: bytes) -> None:
    changed = file.stat()
    file.write_bytes(whole)
    os.utime(file, ns=(changed.st_atime_ns, changed.st_mtime_ns))


def run_named(folder, config, name: str) -> None:
    """The study stops with lines that all name this file."""
    (folder / "run.log").unlink()
    code, text = studies.run(folder, config)
    assert code != 0 and "Traceback" not in text, text
    said = lines_with(text, "cdipipe: ")
    assert said and all(name in line for line in said), text


def test_a_flipped_byte_is_named_and_a_repaired_file_is_gone_on_with(tmp_path):
    config = write_study(tmp_path)
    code, text = studies.run(tmp_path, config, "out/one/M.cxi", "out/one/T.cxi", "out/one/er/metrics.json")
    assert code == 0, text
    counts, metrics = tmp_path / "out/one/M.cxi", tmp_path / "out/one/er/metrics.json"
    with h5py.File(counts) as content:
        place = content["entry_1/instrument_1/detector_1/data"].id.get_chunk_info(0).byte_offset + 40
    whole = flipped(counts, place)
    run_named(tmp_path, config, "out/one/M.cxi")
    repair(counts, whole)
    whole = flipped(metrics, metrics.read_bytes().index(b'"r_factor": 0.') + 15)  # a digit becomes another
    run_named(tmp_path, config, "out/one/er/metrics.json: damaged")
    repair(metrics, whole)
    code, text = studies.run(tmp_path, config)
    assert code == 0, text
    assert (tmp_path / "out/report.html").exists()


def test_a_full_disk_is_named_and_with_room_the_same_command_goes_on(tmp_path):
    (tmp_path / "disk").mkdir()
    with mounted(tmp_path / "disk", "-o", "size=1m"):
        filler = tmp_path / "disk/filler"
        filler.write_bytes(b"\0" * (1020 * 1024))
        config = write_study(tmp_path, output="disk/out")
        code, text = studies.run(tmp_path, config, "disk/out/one/er/R.cxi")
        assert code != 0 and len(lines_with(text, "before the first job", "disk/out", "make room")) == 1, text
        begins = int(disk_bytes(load_config(tmp_path / config)) / COMPRESSED) + 8 * 1024  # and does not come to its end
        filler.write_bytes(b"\0" * (1024 * 1024 - begins))
        code, text = studies.run(tmp_path, config, "disk/out/one/er/R.cxi")
        assert code != 0 and len(lines_with(text, "disk/out", "disk is full")) == 1, text
        filler.unlink()
        code, text = studies.run(tmp_path, config, "disk/out/one/er/R.cxi")
        assert code == 0, text
        assert [p.name for p in (tmp_path / "disk").rglob("*.part*")] == []
