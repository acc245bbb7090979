"""What a piece of work depends on: imports of every kind, files, the compiled module, and the records that it uses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cdipipe
from cdipipe import import_closure, module_source
from cdipipe.import_closure import code_digest_of, files_used

NONE = {"cdipipe.methods": (), "cdipipe.networks": (), "cdipipe.scenes": ()}
RECONSTRUCT = "cdipipe.cli.reconstruct"
PACKAGE = {
    "work.py": "import house.first\nfrom house import second\n\ndef later():\n    from .third import thing\n",
    "first.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import house.never\n",
    "second.py": "try:\n    import house.fourth\nexcept ImportError:\n    pass\nNAME = 'card.html.j2'\n",
    "third.py": "from house.rooms.deep import x\nthing = f'{x}.pt'\n",
    "fourth.py": "SCRIPT = 'script.py'\n",
    "script.py": "from house import _native\n",
    "rooms/__init__.py": "from house.rooms import entrance\n\ndef __getattr__(name):\n    import house.never\n",
    "rooms/entrance.py": "",
    "rooms/deep.py": "x = 1\n",
    "never.py": "",
    "__init__.py": "def __getattr__(name):\n    import house.never\n",
    "card.html.j2": "card",
    "weights/one.pt": "1",
    "weights/two.pt": "2",
    "readme.md": "words",
    f"_native{module_source.EXTENSION_SUFFIXES[0]}": "compiled",
}


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A package with a module of every way to depend on another; files read before are forgotten."""
    for name, text in PACKAGE.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield tmp_path / "house"
    forget()


def forget() -> None:
    for module in (module_source, import_closure):
        for found in vars(module).values():
            getattr(found, "cache_clear", lambda: None)()


def test_imports_now_and_later_files_and_the_compiled_module_count(house):
    found = set(files_used(["house.work"]))
    modules = {
        "work",
        "first",
        "second",
        "third",
        "fourth",
        "script",
        "rooms",
        "rooms.entrance",
        "rooms.deep",
        "_native",
    }
    files = {"house/card.html.j2", "house/weights/one.pt", "house/weights/two.pt"}
    assert found == {"house", *(f"house.{name}" for name in modules), *files}


def test_files_of_one_name_count_for_the_module_in_whose_folder_they_are(house):
    for room in ("red", "blue"):
        (house / room).mkdir()
        (house / room / "__init__.py").write_text("FILE = 'weights.pt'\n")
        (house / room / "weights.pt").write_text(room)
    assert [name for name in files_used(["house.red"]) if name.endswith(".pt")] == ["house/red/weights.pt"]


@pytest.mark.parametrize("name", PACKAGE)
def test_a_change_of_a_file_changes_the_digest_of_what_depends_on_it(house, name):
    before = code_digest_of(["house.work"])
    forget()
    (house / name).write_text(PACKAGE[name] + "\n# changed\n")
    assert (code_digest_of(["house.work"]) == before) == (name in ("never.py", "readme.md"))


def test_unknown_modules_and_records_are_named():
    with pytest.raises(ValueError, match=r"no module 'cdipipe\.cli\.reconstrct'"):
        code_digest_of(["cdipipe.cli.reconstrct"])
    with pytest.raises(ValueError, match=r"cdipipe\.methods: there is no record 'hoi'"):
        code_digest_of([RECONSTRUCT], {"cdipipe.methods": ["hoi"]})


def methods_in(files) -> set[str]:
    return {name.split(".")[2] for name in files if name.startswith("cdipipe.methods.")}


def test_a_reconstruction_depends_on_its_own_method_and_on_those_that_this_one_runs():
    assert methods_in(files_used([RECONSTRUCT], NONE | {"cdipipe.methods": ["hio"]})) == {"hio", "er"}
    begins_with = methods_in(files_used([RECONSTRUCT], NONE | {"cdipipe.methods": ["cdip"]}))
    assert begins_with >= {"cdip", "hio", "guided"} and "raar" not in begins_with
    assert methods_in(files_used([RECONSTRUCT])) >= {"hio", "cdip", "raar", "gps"}


def test_scenes_networks_and_shipped_weights_count_where_they_are_used():
    cell = set(files_used(["cdipipe.cli.simulate"], NONE | {"cdipipe.scenes": ["cell"]}))
    assert "cdipipe.simulation.scenes.cell" in cell and "cdipipe.simulation.scenes.polygons" not in cell
    dpr = set(files_used(["cdipipe.cli.train"], NONE | {"cdipipe.networks": ["dpr"]}))
    assert "cdipipe.networks.dpr" in dpr and "cdipipe.networks.cdi_nn" not in dpr
    network = {"cdipipe.networks": ["cdi_nn"]}
    assert [n for n in files_used([RECONSTRUCT], NONE | network) if n.endswith(".pt")] == [
        "cdipipe/networks/cdi_nn/weights.pt"
    ]
    denoising = files_used([RECONSTRUCT], NONE | {"cdipipe.methods": ["reference_lsq"]})
    assert "cdipipe.denoise.denoisers" in denoising and "cdipipe/networks/denoiser/weights.pt" in denoising


def test_the_compiled_module_counts_where_kernels_are_loaded():
    pytest.importorskip("cdipipe._native")
    assert "cdipipe._native" in files_used([RECONSTRUCT], NONE)
    assert "cdipipe._native" not in files_used(["cdipipe.cli.simulate"], NONE | {"cdipipe.scenes": ["polygons"]})


def test_every_data_file_of_the_package_counts_somewhere():
    commands = [f"cdipipe.cli.{path.stem}" for path in Path(cdipipe.__file__).parent.glob("cli/[a-z]*.py")]
    assert set(module_source.data_files("cdipipe")) - set(files_used(commands)) == set()


def test_a_plug_in_of_another_package_brings_its_own_imports(tmp_path, monkeypatch):
    write_plugin(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    try:
        found = set(files_used([RECONSTRUCT], NONE | {"cdipipe.methods": ["calm"]}))
        assert found >= {"foreign", "foreign.calm", "foreign.inner", "cdipipe.denoise.denoisers"}
        assert "foreign.calm" not in files_used([RECONSTRUCT], NONE | {"cdipipe.methods": ["hio"]})
    finally:
        forget()


def write_plugin(folder: Path) -> None:
    (folder / "foreign").mkdir()
    (folder / "foreign/__init__.py").write_text("")
    (folder / "foreign/calm.py").write_text("import foreign.inner\nimport cdipipe.denoise.denoisers\n")
    (folder / "foreign/inner.py").write_text("")
    (folder / "foreign-1.dist-info").mkdir()
    (folder / "foreign-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: foreign\nVersion: 1\n")
    (folder / "foreign-1.dist-info/entry_points.txt").write_text("[cdipipe.methods]\ncalm = foreign.calm:METHOD\n")


RUN = """import sys
from cdipipe.cli import main
code = main.run(sys.argv[1:])
print("loaded", *(name for name in sys.modules if name.startswith("cdipipe.")))
sys.exit(code)"""


def loaded_by(folder: Path, *arguments: str) -> set[str]:
    """Modules of this package that a command really loads."""
    done = subprocess.run([sys.executable, "-c", RUN, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.partition("loaded")[2].split())


def test_what_commands_really_load_is_what_they_are_said_to_depend_on(tmp_path):
    for_all = loaded_by(tmp_path, "--help")
    scene = ("simulate", "static_region", "--set", "size=32", "-o", "M.cxi", "--truth", "T.cxi")
    loaded = loaded_by(tmp_path, *scene) - for_all
    assert loaded - set(files_used(["cdipipe.cli.simulate"], NONE | {"cdipipe.scenes": ["static_region"]})) == set()
    method = ("reconstruct", "M.cxi", "-m", "reference_lsq", "-o", "R.cxi")
    loaded = loaded_by(tmp_path, *method) - for_all
    assert loaded - set(files_used([RECONSTRUCT], NONE | {"cdipipe.methods": ["reference_lsq"]})) == set()
    evaluate = ("evaluate", "R.cxi", "--measurement", "M.cxi", "--truth", "T.cxi", "-o", "metrics.json")
    assert loaded_by(tmp_path, *evaluate) - for_all - set(files_used(["cdipipe.cli.evaluate"])) == set()
