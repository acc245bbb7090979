import json

from cdipipe.cli import doctor
from cdipipe.extras import EXTRAS


def test_a_usable_installation(cli):
    done = cli("doctor")
    assert done.code == 0 and "problems: none" in done.out and "kernels:" in done.out
    facts = json.loads(cli("doctor", "--json").out)
    assert facts["problems"] == [] and facts["versions"]["torch"] and "native_built" in facts["kernels"]
    assert set(facts["extras"]) == set(EXTRAS)


def test_a_missing_part_is_named(cli, monkeypatch):
    monkeypatch.setattr(doctor, "REQUIRED", ("numpy", "no_such_module"))
    done = cli("doctor")
    assert "no_such_module cannot be imported" in done.complaint and "numpy: " in done.out


def test_a_broken_kernel_does_not_break_the_report(cli, monkeypatch):
    def broken():
        raise RuntimeError("libgomp is gone")

    monkeypatch.setattr(doctor, "_kernels", broken)
    done = cli("doctor")
    assert "kernels: RuntimeError: libgomp is gone" in done.complaint and "devices:" in done.out


def test_folders_are_those_of_the_environment(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("CDIPIPE_CACHE", str(tmp_path))
    monkeypatch.delenv("CDIPIPE_DATA_DIR", raising=False)
    folders = json.loads(cli("doctor", "--json").out)["folders"]
    assert folders["cache (CDIPIPE_CACHE)"] == str(tmp_path)
    assert folders["aps34idc_s54"] == "not here; cdipipe fetch aps34idc_s54"
