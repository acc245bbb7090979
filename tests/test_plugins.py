"""Doors for other packages: found by entry points; a broken one spoils nothing that does not use it."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest

from cdipipe import plugins
from cdipipe.errors import InputError
from cdipipe.phasing.registry import METHODS
from cdipipe.plugins import Registry, in_list


@dataclass(frozen=True)
class Tool:
    name: str


@pytest.fixture
def install(tmp_path, monkeypatch):
    """A function that installs a package: its name, its module's text, and entry points name -> attribute."""
    monkeypatch.syspath_prepend(tmp_path)
    made = []

    def install(package: str, text: str, group: str = "cdipipe.tools", **entries: str) -> None:
        (tmp_path / f"{package}.py").write_text(text)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {package}:{attribute}" for name, attribute in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
        made.append(package)
        plugins._entries.cache_clear()

    yield install
    plugins._entries.cache_clear()
    for package in made:
        sys.modules.pop(package, None)


GOOD = f"from {__name__} import Tool\nSAW, FILE = Tool('saw'), Tool('file')\n"


def tools() -> Registry:
    return Registry("tool", "cdipipe.tools", Tool, in_list([Tool("saw_bench"), Tool("hammer")]))


def test_those_inside_come_first_and_then_those_of_other_packages(install):
    install("good_tools", GOOD, saw="SAW", file="FILE")
    assert list(tools().all()) == ["saw_bench", "hammer", "file", "saw"]
    assert tools().get("saw") == Tool("saw")


def test_who_asks_for_one_loads_no_other(install):
    install("broken_tools", "raise RuntimeError('no')", drill="DRILL")
    install("good_tools", GOOD, saw="SAW")
    found = tools()
    assert found.get("hammer").name == "hammer" and "good_tools" not in sys.modules
    assert found.get("saw").name == "saw"


def test_a_package_that_is_installed_later_is_found_when_asked_to(install):
    found = tools()
    assert "saw" not in found.all()
    install("good_tools", GOOD, saw="SAW")
    assert "saw" not in found.all()
    found.look_again()
    assert "saw" in found.all()


def test_a_broken_package_is_left_out_of_lists_and_named_once(install, caplog):
    install("broken_tools", "raise RuntimeError('no wood')", drill="DRILL")
    found = tools()
    assert list(found.all()) == list(found.all()) == ["saw_bench", "hammer"]
    line = "left out: tool 'drill': plug-in broken_tools:DRILL of broken_tools cannot be loaded: "
    assert caplog.messages == [line + "RuntimeError('no wood'); repair or uninstall it"]


@pytest.mark.parametrize(
    "text, complaint",
    [
        ("raise RuntimeError('no wood')", r"cannot be loaded: RuntimeError\('no wood'\); repair or uninstall it"),
        ("", r"cannot be loaded: AttributeError"),
        ("DRILL = 3", r"is no Tool but int; repair or uninstall it"),
        (f"from {__name__} import Tool\nDRILL = Tool('borer')", r"calls itself 'borer'; .* must have the same name"),
    ],
    ids=["raises", "empty", "no record", "another name"],
)
def test_who_asks_for_a_broken_one_is_told_what_is_wrong(install, text, complaint):
    install("broken_tools", text, drill="DRILL")
    with pytest.raises(
        InputError, match=r"^here: tool 'drill': plug-in broken_tools:DRILL of broken_tools " + complaint
    ):
        tools().get("drill", "here")


def test_a_name_that_is_taken(install, caplog):
    install("first_tools", f"from {__name__} import Tool\nA, B = Tool('hammer'), Tool('saw')", hammer="A", saw="B")
    install("second_tools", f"from {__name__} import Tool\nB = Tool('saw')", saw="B")
    found = tools()
    assert list(found.all()) == ["saw_bench", "hammer"]
    assert found.get("hammer") is not None and "cdipipe has a tool 'hammer' itself" in caplog.messages[0]
    with pytest.raises(InputError, match=r"first_tools:B of first_tools and plug-in second_tools:B .* both bring it"):
        found.get("saw")


def test_an_unknown_name_lists_the_known_ones_of_all_packages(install):
    install("good_tools", GOOD, saw="SAW")
    with pytest.raises(InputError, match=r"place: unknown tool 'sav' \(did you mean 'saw'\?\); known: .*hammer, saw"):
        tools().get("sav", "place")


def test_what_others_imply_comes_after_what_is_said(install):
    implied = {"hammer": lambda: Tool("hammer"), "wedge": lambda: Tool("wedge"), "nothing": lambda: None}
    found = Registry("tool", "cdipipe.tools", Tool, in_list([Tool("saw_bench")]), lambda: implied)
    install("good_tools", f"from {__name__} import Tool\nOWN = Tool('wedge')\nA = Tool('adze')", wedge="OWN", adze="A")
    import good_tools

    assert list(found.all()) == ["hammer", "saw_bench", "wedge", "adze"]
    assert found.get("wedge") is good_tools.OWN and found.find("nothing") is None


@pytest.fixture
def broken_method(install):
    """A package whose method cannot be loaded."""
    install("sad_methods", "import no_such_library", "cdipipe.methods", sad="METHOD")
    METHODS.look_again()
    yield
    METHODS.look_again()


def test_a_broken_method_spoils_no_command_that_does_not_use_it(broken_method, cli, caplog, tmp_path):
    assert cli("simulate", "polygons", "-o", tmp_path / "M.cxi", "--set", "size=32").code == 0
    reconstruct = ("reconstruct", tmp_path / "M.cxi", "-o", tmp_path / "R.cxi", "--set", "iterations=2", "-m")
    assert cli(*reconstruct, "er").code == 0 and caplog.messages == []
    assert cli("methods").code == 0 and len(caplog.messages) == 1
    assert "method 'sad': plug-in sad_methods:METHOD of sad_methods cannot be loaded: Mod" in caplog.messages[0]
    asked = cli(*reconstruct, "sad")
    assert asked.code == 2 and "no_such_library" in asked.complaint and "repair or uninstall it" in asked.complaint
