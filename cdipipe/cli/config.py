"""``cdipipe config``: check a configuration file and show what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    file: Annotated[Path, typer.Argument(help="configuration of a study, .yaml")],
    get: Annotated[str | None, typer.Option(help="print only this entry, for example output")] = None,
    scale: Annotated[str | None, typer.Option(help="take this one of the study's scales instead of its own")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="write it to this file instead")] = None,
) -> None:
    """Check a configuration and print it with all its defaults, as YAML."""
    import yaml

    from cdipipe.study.config import check_config, load_mapping

    mapping = load_mapping(file)
    if scale is not None and isinstance(mapping, dict):
        mapping = {**mapping, "scale": scale}
    tree = check_config(mapping, str(file)).model_dump(mode="json", by_alias=True)
    for key in get.split(".") if get else []:
        if not isinstance(tree, dict) or key not in tree:
            known = ", ".join(tree) if isinstance(tree, dict) else "nothing below"
            raise InputError(f"{file}: no entry '{key}' on the way to '{get}'; there is {known}")
        tree = tree[key]
    plain = isinstance(tree, (str, int, float))
    text = str(tree) if plain else yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).rstrip()
    if output is None:
        print(text)
    else:
        from cdipipe.io.atomic import atomic_path

        with atomic_path(output) as part:
            part.write_text(text + "\n", encoding="utf-8")
