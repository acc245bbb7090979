"""``cdipipe config``: check a configuration file and show what it says; the schema that editors check it by."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from cdipipe.errors import InputError


def command(
    file: Annotated[Path | None, typer.Argument(help="configuration of a study, .yaml")] = None,
    get: Annotated[str | None, typer.Option(help="print only this entry, for example output")] = None,
    scale: Annotated[str | None, typer.Option(help="take this one of the study's scales instead of its own")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="the JSON schema of all configurations instead")] = False,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="write it to this file instead")] = None,
) -> None:
    """Check a configuration and print it with all its defaults, as YAML."""
    if schema and (file or get or scale):
        raise InputError("--schema: goes without a file, --get and --scale; it is the same for all studies")
    if file is None and not schema:
        raise InputError("config: give the configuration of a study, such as config/quickstart.yaml, or --schema")
    text = _schema() if schema else _entry(_tree(file, scale), get, file)
    if output is None:
        print(text)
    else:
        from cdipipe.io.atomic import atomic_path

        with atomic_path(output) as part:
            part.write_text((_head(file) if not get else "") + text + "\n", encoding="utf-8")


def _head(file: Path | None) -> str:
    """The comment at the head of a study: what it says of itself."""
    if file is None:
        return ""
    import itertools

    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    comment = itertools.takewhile(lambda line: line.startswith("#"), lines)
    return "".join(line for line in comment if "yaml-language-server" not in line)


def _schema() -> str:
    import json

    from cdipipe.study.schema import study_schema

    return json.dumps(study_schema(), indent=1, ensure_ascii=False)


def _tree(file: Path, scale: str | None) -> dict[str, Any]:
    """All that a study says, defaults included."""
    from cdipipe.study.config import check_config, load_mapping

    mapping = load_mapping(file)
    if scale is not None and isinstance(mapping, dict):
        mapping = {**mapping, "scale": scale}
    return check_config(mapping, str(file)).model_dump(mode="json", by_alias=True)


def _entry(tree: Any, get: str | None, file: Path) -> str:
    """One entry as text, or all as YAML."""
    import yaml

    for key in get.split(".") if get else []:
        if not isinstance(tree, dict) or key not in tree:
            known = ", ".join(tree) if isinstance(tree, dict) else "nothing below"
            raise InputError(f"{file}: no entry '{key}' on the way to '{get}'; there is {known}")
        tree = tree[key]
    plain = isinstance(tree, (str, int, float))
    return str(tree) if plain else yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).rstrip()
