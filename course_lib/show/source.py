"""Show the library's own source in a notebook: the code that runs, never a pasted copy of it."""

from __future__ import annotations

import ast
import html
import inspect
import textwrap
from dataclasses import dataclass
from types import ModuleType

# What a token is → JupyterLab's colour for it, and the light one where there is no theme.
COLOURS = {
    "Keyword": ("keyword", "#008000"),
    "String": ("string", "#ba2121"),
    "Comment": ("comment", "#3d7b7b"),
    "Number": ("number", "#666600"),
    "Function": ("def", "#0000ff"),
    "Class": ("def", "#0000ff"),
    "Decorator": ("meta", "#aa22ff"),
    "Builtin": ("builtin", "#008000"),
}
BOX = (
    "background:var(--jp-cell-editor-background,#f5f5f5);color:var(--jp-content-font-color1,#111);"
    "border:1px solid var(--jp-cell-editor-border-color,#ccc);padding:8px;margin:4px 0;"
    "overflow-x:auto;line-height:1.4;font-family:var(--jp-code-font-family,monospace);"
    "font-size:var(--jp-code-font-size,13px)"
)
GUTTER = "color:var(--jp-content-font-color3,#888);user-select:none"


@dataclass(frozen=True)
class Source:
    """Python text, each line with its number in the file: shown highlighted, and as text."""

    name: str
    path: str
    lines: tuple[tuple[int, str], ...]

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, **_) -> dict[str, str]:
        return {"text/plain": self.text, "text/html": self._html()}

    def _html(self) -> str:
        first, last = self.lines[0][0], self.lines[-1][0]
        place = html.escape(self.path)
        if place.startswith("course_lib/"):  # as seen from notebooks/, in JupyterLab and on GitHub
            place = f'<a href="../{place}">{place}</a>'
        wide = len(str(last))
        rows = (
            f'<span style="{GUTTER}">{number:>{wide}}  </span>{line}'
            for (number, _), line in zip(self.lines, _highlighted(self.text), strict=True)
        )
        name = html.escape(self.name)
        head = f"<div><b><code>{name}</code></b> in {place}, lines {first} to {last}</div>"
        return f'{head}<pre style="{BOX}">' + "\n".join(rows) + "</pre>"


def _highlighted(text: str) -> list[str]:
    """Python text → one HTML string a line."""
    from pygments.lexers import PythonLexer

    parts = []
    for kind, value in PythonLexer(stripnl=False, ensurenl=False).get_tokens(text):
        known = [COLOURS[word] for word in reversed(tuple(kind)) if word in COLOURS]
        for piece in value.splitlines(keepends=True):
            body, end = html.escape(piece.rstrip("\n")), "\n" * piece.endswith("\n")
            if known and body:
                name, plain = known[0]
                style = f"color:var(--jp-mirror-editor-{name}-color,{plain})"
                body = f'<span style="{style}">{body}</span>'
            parts.append(body + end)
    return "".join(parts).split("\n")


def _found(thing: object, name: str | None) -> tuple[str, int, str]:
    """→ (name, number of the first line, text)."""
    if name is None:
        thing = thing.fget if isinstance(thing, property) else thing
        try:
            lines, first = inspect.getsourcelines(inspect.unwrap(thing))
        except (TypeError, OSError) as error:
            kind = type(thing).__name__
            raise TypeError(
                f"source shows a function, class or module of Python text, but a {kind} was given"
            ) from error
        label = getattr(thing, "__qualname__", getattr(thing, "__name__", ""))
        return label, max(first, 1), "".join(lines)
    text = inspect.getsource(thing)
    for node in ast.parse(text).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if name in [getattr(t, "id", None) for t in targets] or getattr(node, "name", None) == name:
            lines = text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno]
            return name, node.lineno, "".join(lines)
    raise ValueError(f"there is no {name!r} at the top of the module {thing.__name__}")


def _docstring_lines(text: str) -> set[int]:
    """Which lines (from 0) of a text belong to docstrings."""
    hidden: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        if isinstance(node, kinds) and ast.get_docstring(node) is not None and len(node.body) > 1:
            hidden.update(range(node.body[0].lineno - 1, node.body[0].end_lineno))
    return hidden


def source(
    thing: object,
    name: str | None = None,
    *,
    lines: tuple[int, int] | None = None,
    docstring: bool = True,
) -> Source:
    """The source of a function, class or module; with `name`, of what the module calls so.

    `lines` (first, last), counted from 1, keeps a part; `docstring=False` leaves docstrings out.
    """
    label, first, text = _found(thing, name)
    text = textwrap.dedent(text).rstrip("\n")
    hidden = set() if docstring else _docstring_lines(text)
    low, high = lines or (1, len(text.splitlines()))
    numbered = enumerate(text.splitlines())
    kept = tuple(
        (first + i, line) for i, line in numbered if low <= i + 1 <= high and i not in hidden
    )
    if not kept:
        count = len(text.splitlines())
        raise ValueError(f"{label} has the lines 1 to {count}, but {low} to {high} were asked for")
    module = thing if isinstance(thing, ModuleType) else inspect.getmodule(thing)
    return Source(label, _path(module), kept)


def _path(module: ModuleType | None) -> str:
    """Where a module's file lies inside the repository: the same on every machine."""
    if module is None or module.__name__ == "__main__":
        return "this notebook"
    stem = module.__name__.replace(".", "/")
    return stem + ("/__init__.py" if hasattr(module, "__path__") else ".py")
