import hashlib
import sys
from pathlib import Path

import pytest

import cdipipe
from cdipipe import provenance
from cdipipe.errors import InputError


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


def test_the_code_digest_follows_every_source(tmp_path, monkeypatch):
    for name in ("one/a.py", "one/deep/b.py", "c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(provenance, "PACKAGE_FOLDER", tmp_path)
    digest = provenance.code_digest.__wrapped__
    before = digest()
    (tmp_path / "notes.txt").write_text("no source")
    assert digest() == before
    (tmp_path / "one/deep/b.py").write_text("changed")
    assert digest() != before


def test_the_package_is_what_is_digested():
    assert Path(cdipipe.__file__).parent == provenance.PACKAGE_FOLDER and len(provenance.code_digest()) == 16


@pytest.mark.parametrize("moment", ["abc", "nan", "1e300", "-1e30", "inf"])
def test_a_moment_that_is_none_is_one_line(moment, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", moment)
    with pytest.raises(InputError, match="SOURCE_DATE_EPOCH: expected seconds since 1970"):
        provenance.collect()
