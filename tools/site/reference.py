"""Reference pages of the guide, written from the code when the site is built: a hook of mkdocs.yml.

Methods, scenes and networks with all their parameters, the keys of a study, and the options of every command.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]
ROOT = Path(__file__).parents[2]
UNITS = {
    "m_per_s": "m/s",
    "per_um2": "1/µm²",
    "cm2_g": "cm²/g",
    "photons": "photons",
    "px": "px",
    "nm": "nm",
    "m": "m",
    "ev": "eV",
    "rad": "rad",
    "deg": "°",
    "k": "K",
    "s": "s",
}
"""Endings of names, with the units that they stand for; the first that fits counts."""


def on_files(files, config):
    """Add the pages; called by mkdocs once it knows the files of the guide."""
    from mkdocs.structure.files import File

    for name, write in PAGES.items():
        files.append(File.generated(config, name, content=write()))
    return files


def parameter_rows(schema: Schema, definitions: Mapping[str, Schema], before: str = "") -> Iterator[tuple[str, Schema]]:
    """Every parameter of an object's schema by its dotted name, groups taken apart."""
    for name, value in schema.get("properties", {}).items():
        inner = definitions.get(value.get("$ref", "").rpartition("/")[2], {})
        if "properties" in inner:
            yield from parameter_rows(inner, definitions, f"{before}{name}.")
        else:
            yield before + name, value | {"required": name in schema.get("required", ())}


def table(rows: Iterator[tuple[str, Schema]]) -> str:
    """Parameters with defaults, units, what is allowed, and meaning."""
    lines = [
        f"| `{name}` | {_default(value)} | {unit_of(name)} | {_cell(_allowed(value))} "
        f"| {_cell(value.get('description', ''))} |"
        for name, value in rows
    ]
    head = ["| name | default | unit | allowed | meaning |", "|---|---|---|---|---|"]
    return "\n".join([*head, *lines]) + "\n"


def unit_of(name: str) -> str:
    """The unit that a name ends in; empty where it has none."""
    return next((unit for end, unit in UNITS.items() if re.search(rf"(^|_){end}$", name.rpartition(".")[2])), "")


def _default(value: Schema) -> str:
    if value.get("required"):
        return "required"
    default = value.get("default")
    if default in (None, "", [], {}) or (isinstance(default, list) and isinstance(default[0], dict)):
        return ""
    if isinstance(default, float):
        return f"`{default:g}`"
    return f"`{str(default).lower() if isinstance(default, bool) else default}`".replace("|", "\\|")


def _allowed(value: Schema) -> str:
    """Names to choose from, or the range of a number."""
    options = [option for option in value.get("anyOf", [value]) if option.get("type") != "null"]
    names = [name for option in options for name in option.get("enum", [option["const"]] if "const" in option else [])]
    if names:
        return ", ".join(f"`{str(name).lower() if isinstance(name, bool) else name}`" for name in names)
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    found = [f"{sign} {option[key]:g}" for option in options[:1] for key, sign in limits.items() if key in option]
    kinds = options[0].get("type") if options else None
    kind = {"boolean": "`true`, `false`", "integer": "whole"}.get(kinds, "") if isinstance(kinds, str) else ""
    return ", ".join([kind, *found] if kind else found)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def _linked(reference: str) -> str:
    """DOIs and arXiv numbers as links."""
    reference = re.sub(r"doi:(\S+?)([.,;)]*(?:\s|$))", r"[doi:\1](https://doi.org/\1)\2", reference)
    return re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", reference)


def _model(model) -> tuple[Schema, dict[str, Schema]]:
    schema = model.model_json_schema()
    return schema, schema.get("$defs", {})


def _model_table(model, skip: set[str] = frozenset()) -> str:
    rows = [row for row in parameter_rows(*_model(model)) if not any(row[0].startswith(name) for name in skip)]
    return table(rows) if rows else "None of its own.\n"


def methods_page() -> str:
    """Every method with its parameters, then the options of a recipe."""
    from cdipipe.phasing.needs import NEEDS
    from cdipipe.phasing.options import ignored_by
    from cdipipe.phasing.recipe import Recipe
    from cdipipe.phasing.registry import all_methods

    text = [
        "# All methods\n",
        "Written from the code. `cdipipe methods NAME` prints the same. [Methods](../methods.md) explains "
        "how they work, "
        "[Choose a method](../choosing.md) says which one to take.\n",
    ]
    for name, method in all_methods().items():
        text += [f"## {name}\n", f"{method.summary}.\n", f"Source: {_linked(method.reference)}\n"]
        if method.needs:
            text.append(f"Needs: {'; '.join(NEEDS[need].words for need in sorted(method.needs))}.\n")
        text.append(_model_table(method.parameters))
        ignored = sorted(ignored_by(method))
        if ignored:
            text.append(f"Refuses these options of a recipe: {', '.join(f'`{key}`' for key in ignored)}.\n")
    text += [
        "## Options of every recipe\n",
        "They stand beside the method, or beside the steps of a chain.\n",
        _model_table(Recipe, {"steps"}),
    ]
    return "\n".join(text)


def scenes_page() -> str:
    """Every scene with what it adds to the parameters that all have."""
    from cdipipe.simulation.registry import SceneParameters, all_scenes

    shared = dict(parameter_rows(*_model(SceneParameters)))
    text = [
        "# All scenes\n",
        "Written from the code. `cdipipe scenes NAME` prints the same. [Simulate](../scenes.md) explains them.\n",
        "## Parameters of every scene\n",
        table(iter(shared.items())),
    ]
    for name, scene in all_scenes().items():
        rows = [row for row in parameter_rows(*_model(scene.parameters)) if shared.get(row[0]) != row[1]]
        text += [f"## {name}\n", f"{scene.summary}.\n", f"Source: {_linked(scene.reference)}\n", table(iter(rows))]
    return "\n".join(text)


def networks_page() -> str:
    """Every network with what it adds to the settings that all trainings have."""
    from cdipipe.networks.registry import all_networks
    from cdipipe.networks.training_settings import TrainingSettings

    shared = {key: row for key, row in parameter_rows(*_model(TrainingSettings)) if not key.startswith("network.")}
    text = [
        "# All networks\n",
        "Written from the code. `cdipipe networks NAME` prints the same. "
        "[Train a network](../training.md) explains them.\n",
        "## Settings of every training\n",
        table(iter(shared.items())),
    ]
    for name, network in all_networks().items():
        found = parameter_rows(*_model(network.settings))
        own = [(key, value) for key, value in found if shared.get(key) != value]
        rows = [(key, {"description": shared.get(key, {}).get("description", "")} | value) for key, value in own]
        text += [f"## {name}\n", f"{network.summary}.\n", f"Source: {_linked(network.reference)}\n", table(iter(rows))]
    return "\n".join(text)


ENTRIES = {
    "Measurement": "MeasurementEntry",
    "Import": "ImportEntry",
    "Strain": "StrainEntry",
    "Method": "Recipe",
    "Pairing": "Pairing",
    "Average": "AverageOptions",
    "Sweep": "SweepEntry",
    "Tuning": "TuneChoices",
    "Corpus": "CorpusEntry",
    "Network": "NetworkEntry",
    "Pairs": "PairsEntry",
    "Table": "TableEntry",
    "Gallery": "GalleryEntry",
    "Distribution": "DistributionEntry",
}
"""Headings of the parts of a study, with their names in its schema."""


CHOICES = {
    "files": "files of counts, each FILE or FILE::KEY; several are stacked",
    "method": "one method, with its parameters beside it",
    "network": "what is trained",
    "scene": "what is simulated",
    "tune": "search settings of the method first: the keys of Tuning below",
}
"""Meanings of keys that the schema only lists the names for."""


def configuration_page() -> str:
    """The keys of a study, from its schema."""
    from cdipipe.study.schema import study_schema

    schema = study_schema()
    definitions = schema["definitions"]
    text = [
        "# All keys of a study\n",
        "Written from the code. A study is one YAML file; [Studies](../studies.md) explains how to write one. "
        "`cdipipe config FILE` checks a file and prints it with all defaults. An unknown key is an error.\n",
        "## The file\n",
        table(parameter_rows(schema, {})),
    ]
    for heading, name in ENTRIES.items():
        entry = definitions[name]
        rows = (
            (key, {"description": CHOICES.get(key, "")} | value) for key, value in parameter_rows(entry, definitions)
        )
        text += [f"## {heading}\n", f"{entry.get('description', '').rstrip('.')}.\n", table(rows)]
    return "\n".join(text)


def commands_page() -> str:
    """Every command with its arguments and options."""
    import typer

    from cdipipe.cli.main import _register_commands, app

    _register_commands([])
    text = ["# All commands\n", "Written from the code. `cdipipe COMMAND --help` prints the same.\n"]
    for name, command in sorted(typer.main.get_command(app).commands.items()):
        text += [f"## {name}\n", f"{_cell(command.help or '')}\n"]
        lines = [
            f"| {', '.join(f'`{word}`' for word in option.opts)} | {_default({'default': _plain(option.default)})} "
            f"| {_cell(getattr(option, 'help', '') or '')} |"
            for option in command.params
            if "--help" not in option.opts
        ]
        text += (
            ["\n".join(["| argument or option | default | meaning |", "|---|---|---|", *lines]) + "\n"] if lines else []
        )
    return "\n".join(text)


def _plain(default):
    return default if isinstance(default, str | int | float | list | tuple) else None


PAGES = {
    "reference/commands.md": commands_page,
    "reference/configuration.md": configuration_page,
    "reference/methods.md": methods_page,
    "reference/networks.md": networks_page,
    "reference/scenes.md": scenes_page,
}
"""Pages of the site that no file holds."""

if __name__ == "__main__":
    sys.stdout.write(PAGES[f"reference/{sys.argv[1]}.md"]())
