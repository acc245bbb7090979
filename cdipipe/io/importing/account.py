"""What an import did, told step by step: printed for the user and kept as provenance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Line:
    """One step: its name, what was done and why, whether that was a guess, and the shape after it where it has one."""

    step: str
    text: str
    why: str = ""
    guess: bool = False
    shape: str = ""

    def told(self) -> str:
        """The text and its reason, with a word where it is a guess."""
        reasons = [reason for reason in (self.why, "a guess" if self.guess else "") if reason]
        return f"{self.text} ({'; '.join(reasons)})" if reasons else self.text

    def row(self) -> tuple[str, str, str, str]:
        """Step, choice, reason and shape, for a table."""
        return self.step, self.text, "; ".join(filter(None, (self.why, "a guess" if self.guess else ""))), self.shape


@dataclass
class Account:
    """The steps of one import and the facts worth keeping."""

    lines: list[Line] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def say(self, step: str, text: str, guess: bool = False, why: str = "", shape: str = "", **facts: Any) -> None:
        """Tell one step; ``facts`` are kept in the provenance by name.

        Parameters
        ----------
        step : ``read``, ``masked``, ``corrected``, ``geometry``, ``centre``, ``kept`` or ``note``
        guess : the file does not say so and the user neither
        why : the reason
        shape : of what there is after the step
        """
        line = Line(step, text, why, guess, shape)
        if line not in self.lines:
            self.lines.append(line)
        self.facts.update(facts)

    def note(self, text: str) -> None:
        """Something that the user should look at."""
        self.say("note", text)

    def told(self) -> list[str]:
        """The steps as lines of text, notes last."""
        ordered = sorted(self.lines, key=lambda line: line.step == "note")
        return [f"{line.step}: {line.told()}" for line in ordered]

    def record(self) -> dict[str, Any]:
        """Facts and steps as plain data."""
        return {**self.facts, "steps": self.told()}
