import hashlib
import sys
from pathlib import Path

import pytest

import cdipipe
from cdipipe import provenance


def test_the_record_names_command_versions_and_inputs(tmp_path, monkeypatch):
    (tmp_path / "a.npy").write_bytes(b"abc")
    monkeypatch.setattr(sys, "argv", ["/some/where/cdipipe", "import", "a b.npy"])
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    record = provenance.collect([tmp_path / "a.npy"])
    assert record["command"] == "cdipipe import 'a b.npy'"
    assert record["time_utc"] == "1970-01-01T00:00:00+00:00"
    assert record["versions"]["cdipipe"] == cdipipe.__version__
    assert record["inputs"] == {"a.npy": hashlib.sha256(b"abc").hexdigest()}
    assert record["code_digest"] == provenance.code_digest()


def test_the_code_digest_follows_the_sources(tmp_path, monkeypatch):
    for name in ("one/a.py", "one/deep/b.py", "two/c.py", "d.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(provenance, "PACKAGE_FOLDER", tmp_path)
    digest = provenance.code_digest.__wrapped__
    before = digest("one"), digest("two"), digest("d"), digest()
    (tmp_path / "one/deep/b.py").write_text("changed")
    after = digest("one"), digest("two"), digest("d"), digest()
    assert [x == y for x, y in zip(before, after, strict=True)] == [False, True, True, False]
    with pytest.raises(ValueError, match="no sub-package or module 'three'"):
        digest("three")


def test_the_package_has_the_parts_that_rules_ask_for():
    for part in ("io", "optics", "measurement"):
        assert len(provenance.code_digest(part)) == 16
    assert Path(cdipipe.__file__).parent == provenance.PACKAGE_FOLDER
