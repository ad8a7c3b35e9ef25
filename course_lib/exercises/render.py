"""What a check says and how an exercise looks: the same words as text, Markdown and HTML.

The texts hold no time and no address, so a saved notebook can be compared with a new run.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The four things that a check can say."""

    NOT_ATTEMPTED = "not attempted"
    ERROR = "error"
    WRONG = "wrong"
    RIGHT = "right"


@dataclass(frozen=True)
class Look:
    """How a state looks: told apart by icon, word and edge style, and only then by colour."""

    icon: str
    edge: str  # CSS border style and colour (Okabe and Ito's palette)
    ground: str  # CSS colour


# Text and ground are both set, so that a dark theme cannot take one of them away.
INK = "#1b1b1b"
LOOKS = {
    State.NOT_ATTEMPTED: Look("○", "dotted #56748c", "#eef2f5"),
    State.ERROR: Look("⚠", "dashed #a3527c", "#f9eef4"),
    State.WRONG: Look("✘", "double #b34700", "#fdf0e6"),
    State.RIGHT: Look("✔", "solid #00734f", "#e6f5ef"),
}


@dataclass(frozen=True)
class Report:
    """What a check found.

    `score` is the share of cases that are right, 0 to 1. `misconception` is the name of the
    diagnosed one, or "". `details` may show expected values; `summary` and `sentence` never do.
    """

    exercise: str
    title: str
    state: State
    score: float
    summary: str
    sentence: str = ""
    misconception: str = ""
    details: tuple[str, ...] = ()

    def __repr__(self) -> str:
        head = f"{LOOKS[self.state].icon} {self.state}: {self.title}"
        lines = [self.summary, self.sentence, *self.details]
        return "\n".join([head, *(f"  {line}" for line in lines if line)])

    def _repr_html_(self) -> str:
        look = LOOKS[self.state]
        head = [f"<strong>{look.icon} {self.state}</strong>", inline(self.title)]
        parts = [" · ".join([*head, inline(self.summary)] if self.summary else head)]
        if self.sentence:
            parts.append(f"<p style='margin:.4em 0 0'>{inline(self.sentence)}</p>")
        if self.details:
            items = "".join(f"<li>{inline(line)}</li>" for line in self.details)
            parts.append(f"<ul style='margin:.4em 0 0'>{items}</ul>")
        style = (
            f"border:1px {look.edge};border-left-width:8px;background:{look.ground};color:{INK};"
            "padding:.6em 1em;border-radius:4px;max-width:50em"
        )
        return f"<div role='status' style='{style}'>{''.join(parts)}</div>"


@dataclass(frozen=True)
class Card:
    """A piece of Markdown that Jupyter renders in the reader's own theme."""

    markdown: str

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str:
        return self.markdown


def inline(text: str) -> str:
    """Plain text with `code`, **strong** and *emphasis* → HTML. Code is taken as it stands."""
    parts = html.escape(text).split("`")
    if len(parts) % 2 == 0:  # a backtick without its pair
        parts[-2:] = ["`".join(parts[-2:])]
    for i, part in enumerate(parts):
        parts[i] = f"<code style='color:inherit'>{part}</code>" if i % 2 else _emphasised(part)
    return "".join(parts)


def _emphasised(text: str) -> str:
    for stars, tag in ((r"\*\*", "strong"), (r"\*", "em")):
        text = re.sub(
            rf"(?<![\w*]){stars}(?=[^\s*])([^*]*[^\s*]){stars}(?![\w*])",
            rf"<{tag}>\1</{tag}>",
            text,
        )
    return text


def unmarked(text: str) -> str:
    """Text without the marks of `code`, **strong** and *emphasis*, where HTML cannot stand."""
    return html.unescape(re.sub(r"<[^>]+>", "", inline(text)))


def dots(n: int) -> str:
    """1 to 5 → ●●○○○ and so on."""
    return "●" * n + "○" * (5 - n)


def code(source: str, language: str = "python") -> str:
    """Source or output → a fenced Markdown block."""
    return f"```{language}\n{source.strip()}\n```"
