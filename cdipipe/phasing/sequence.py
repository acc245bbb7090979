"""The field's shorthand for a sequence of steps: ``3*(20*ER+180*HIO)+20*ER``."""

from __future__ import annotations

import re

from cdipipe.errors import InputError

MAX_STEPS = 10_000
ALIASES = {"ml": "poisson_ml"}
"""Short names that a sequence may use besides the methods' own names."""


def expand_sequence(text: str, where: str = "sequence") -> list[tuple[str, int]]:
    """Steps of the field's shorthand, for example ``3*(20*ER+180*HIO)+20*ER``.

    Returns
    -------
    list of (method name in lower case, iterations)

    Raises
    ------
    InputError   anything but numbers, names, ``*``, ``+`` and balanced parentheses
    """
    tokens = re.findall(r"\d+|[A-Za-z_]\w*|[^\s]", text)
    position = 0

    def complain(expected: str) -> InputError:
        got = f"'{tokens[position]}'" if position < len(tokens) else "the end"
        return InputError(f"{where}: expected {expected}, got {got} in '{text}'; write it like 3*(20*ER+180*HIO)+20*ER")

    def take(token: str) -> bool:
        nonlocal position
        found = position < len(tokens) and tokens[position] == token
        position += found
        return found

    def parse_sum(depth: int) -> list[tuple[str, int]]:
        steps = parse_term(depth)
        while take("+"):
            steps = steps + parse_term(depth)
        return steps

    def parse_term(depth: int) -> list[tuple[str, int]]:
        nonlocal position
        if position >= len(tokens) or not tokens[position].isdigit() or len(tokens[position]) > 9:
            raise complain("a number of iterations")
        count = int(tokens[position])
        position += 1
        if count < 1 or not take("*"):
            raise complain("'*' after a positive number")
        if not take("("):
            if position >= len(tokens) or not re.fullmatch(r"[A-Za-z_]\w*", tokens[position]):
                raise complain("a method's name or '('")
            name = tokens[position].lower()
            position += 1
            return [(ALIASES.get(name, name), count)]
        if depth > 20:
            raise complain("at most 20 nested parentheses")
        inner = parse_sum(depth + 1)
        if not take(")"):
            raise complain("')'")
        if count * len(inner) > MAX_STEPS:
            raise complain(f"at most {MAX_STEPS} steps")
        return inner * count

    steps = parse_sum(0)
    if position < len(tokens):
        raise complain("'+' or the end")
    return steps
