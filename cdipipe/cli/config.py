"""``cdipipe config``: check a configuration file and show what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cdipipe.errors import InputError


def command(
    file: Annotated[Path, typer.Argument(help="configuration of a study, .yaml")],
    get: Annotated[str | None, typer.Option(help="print only this entry, for example output")] = None,
) -> None:
    """Check a configuration and print it with all its defaults, as YAML."""
    import yaml

    from cdipipe.config import load_config

    tree = load_config(file).model_dump(mode="json", by_alias=True)
    for key in get.split(".") if get else []:
        if not isinstance(tree, dict) or key not in tree:
            known = ", ".join(tree) if isinstance(tree, dict) else "nothing below"
            raise InputError(f"{file}: no entry '{key}' on the way to '{get}'; there is {known}")
        tree = tree[key]
    print(tree if isinstance(tree, str) else yaml.safe_dump(tree, sort_keys=False, allow_unicode=True).rstrip())
