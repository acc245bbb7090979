"""metrics.json and curves.npz come back as they were written; damage is found and named, wherever it is."""

from __future__ import annotations

import json

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.metrics_file import read_curves, read_metrics, write_metrics

METRICS = {"r_factor": 0.125, "complex_correlation": 0.9, "patterns": 3, "note": "é"}


def test_metrics_come_back_and_other_programs_can_read_them(tmp_path):
    for metrics in (METRICS, {}):
        write_metrics(tmp_path / "metrics.json", metrics)
        assert read_metrics(tmp_path / "metrics.json") == metrics
        plain = json.loads((tmp_path / "metrics.json").read_text())
        assert plain.pop("checksum") and plain == metrics
    (tmp_path / "plain.json").write_text(json.dumps(METRICS))
    assert read_metrics(tmp_path / "plain.json") == METRICS


def test_every_flipped_byte_of_the_metrics_is_found(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics(path, METRICS)
    valid = path.read_bytes()
    for place in range(len(valid)):
        for flip in (1, 2, 4, 0x20, 0x80):
            damaged = bytearray(valid)
            damaged[place] ^= flip
            path.write_bytes(damaged)
            with pytest.raises(InputError, match=r"damaged|not JSON") as error:
                read_metrics(path)
            assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_file_cut_short_or_of_another_kind_is_named(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics(path, METRICS)
    for content in (path.read_bytes()[:-30], b"", b"[1]", b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"metrics\.json"):
            read_metrics(path)
    for read in (read_metrics, read_curves):
        with pytest.raises(InputError, match="nothing: missing; run the workflow"):
            read(tmp_path / "nothing")


def test_a_flipped_byte_never_changes_the_curves(tmp_path):
    path, curves = tmp_path / "curves.npz", {"prtf": np.linspace(0, 1, 9), "frc": np.arange(5.0)}
    np.savez(path, **curves)
    valid, found = path.read_bytes(), 0
    for place in range(len(valid)):
        damaged = bytearray(valid)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            read = read_curves(path)
            assert {k: v.tobytes() for k, v in read.items()} == {k: v.tobytes() for k, v in curves.items()}, place
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            found += 1
    assert found > len(valid) / 2


def test_every_command_that_reads_metrics_names_the_damaged_file(tmp_path, cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "out/m/er/metrics.json"
    path.parent.mkdir(parents=True)
    write_metrics(path, {"psnr_db": 20.0})
    (tmp_path / "study.yaml").write_text(
        "output: out\nmeasurements: {m: {scene: polygons}}\nmethods: {er: {method: er}}\n"
        "tables: {t: {metric: psnr_db, columns: {1: m}}}\n"
    )
    commands = (
        ["table", "study.yaml", "t", "-o", "t.png"],
        ["collect", path, "-o", "s.tsv"],
        ["plot", path, "-o", "f.png"],
    )
    for command in commands:
        assert cli(*command).code == 0
    assert "checksum" not in (tmp_path / "s.tsv").read_text()
    path.write_bytes(path.read_bytes().replace(b"20.0", b"30.0"))
    for command in commands:
        assert "out/m/er/metrics.json: damaged" in cli(*command).complaint
