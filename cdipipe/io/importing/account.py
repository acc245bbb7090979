"""What an import did, told step by step: printed for the user and kept as provenance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One step: its name, what was done, and whether that was a guess."""

    step: str
    text: str
    guess: bool = False


@dataclass
class Account:
    """The steps of one import and the facts worth keeping."""

    lines: list[Line] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def say(self, step: str, text: str, guess: bool = False, **facts: Any) -> None:
        """Tell one step; ``facts`` are kept in the provenance by name.

        Parameters
        ----------
        step : ``read``, ``masked``, ``corrected``, ``geometry``, ``centre``, ``kept`` or ``note``
        guess : the file does not say so and the user neither
        """
        line = Line(step, text, guess)
        if line not in self.lines:
            self.lines.append(line)
        self.facts.update(facts)

    def note(self, text: str) -> None:
        """Something that the user should look at."""
        self.say("note", text)

    def told(self) -> list[str]:
        """The steps as lines of text, notes last."""
        ordered = sorted(self.lines, key=lambda line: line.step == "note")
        return [f"{line.step}: {line.text}{' (a guess)' if line.guess else ''}" for line in ordered]

    def record(self) -> dict[str, Any]:
        """Facts and steps as plain data."""
        return {**self.facts, "steps": self.told()}
