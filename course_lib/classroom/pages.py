"""What all pages share: one self-contained HTML file, readable by everybody, light or dark.

Templates escape whatever is put into them. A state is told by icon and word, and only then by
colour.
"""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from jinja2 import DictLoader, Environment, StrictUndefined, Template
from markupsafe import Markup

from course_lib.exercises.render import LOOKS, State, inline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#123456"  # in a figure: becomes the colour of the page's text

FRAME = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{% block title %}{% endblock %}</title>
<style>
:root { color-scheme: light dark; --ink: #1b1b1b; --ground: #ffffff; --soft: #5a5a5a;
  --line: #d5d5d5; --card: #f6f6f4; --right: #00734f; --wrong: #b34700; --error: #9a3f72;
  --none: #4d6a81; --bar: #0072b2; }
@media (prefers-color-scheme: dark) { :root { --ink: #ececec; --ground: #17181a; --soft: #b4b4b4;
  --line: #45474b; --card: #222427; --right: #4cc79b; --wrong: #ff9a55; --error: #e39ac4;
  --none: #9fbfd8; --bar: #56b4e9; } }
* { box-sizing: border-box; }
body { font: 1rem/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  margin: 0 auto; max-width: 56rem; padding: 1.5rem 1rem 4rem; }
h1 { line-height: 1.2; margin: 0 0 .3rem; }
h2 { margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .2rem; }
h3 { margin: 0; font-size: 1.05rem; }
p { margin: .4rem 0; }
code { font-family: ui-monospace, monospace; font-size: .92em; overflow-wrap: anywhere; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: 6px; padding: .7rem;
  overflow-x: auto; font-size: .85rem; white-space: pre-wrap; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  vertical-align: top; }
th { font-weight: 600; } td.n, th.n { text-align: right; white-space: nowrap; }
code.name { white-space: nowrap; }
.soft { color: var(--soft); }
.total { font-size: 2rem; font-weight: 700; }
.card { background: var(--card); border-radius: 6px; border: 1px solid var(--line);
  border-left: 6px solid var(--none); padding: .7rem 1rem; margin: .8rem 0; }
.right { border-left-color: var(--right); } .wrong { border-left: 6px double var(--wrong); }
.error { border-left: 6px dashed var(--error); }
.attempted { border-left: 6px dotted var(--none); }
.state { font-weight: 700; white-space: nowrap; }
.s-right { color: var(--right); } .s-wrong { color: var(--wrong); }
.s-error { color: var(--error); } .s-attempted { color: var(--none); }
.head { display: flex; gap: 1rem; justify-content: space-between; align-items: baseline; }
.head span { white-space: nowrap; }
.wide { overflow-x: auto; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; }
@media print { body { max-width: none; } .card { break-inside: avoid; } }
</style>
</head>
<body>
<main>
{% block body %}{% endblock %}
</main>
</body>
</html>
"""

STATE = """{% macro state(name) -%}
<span class="state s-{{ name.split()[-1] }}"><span aria-hidden="true">{{ icon(name) }}</span>
{{ name }}</span>
{%- endmacro %}"""


def page(template: str, **content: Any) -> str:
    """A template that extends `frame`, filled in."""
    return _compiled(template).render(**content)


@lru_cache(maxsize=8)
def _compiled(template: str) -> Template:
    loader = DictLoader({"frame": FRAME, "state": STATE, "page": template})
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "told": told, "percent": percent, "signed": signed}
    environment.globals["icon"] = icon
    return environment.get_template("page")


def icon(state: str) -> str:
    """The sign of a state."""
    return LOOKS[State(state)].icon


def points(value: float) -> str:
    """7.0 → 7, 7.25 → 7.25."""
    return f"{round(value, 2):g}" if abs(value) < 1000 else f"{value:.2f}"


def percent(share: float) -> str:
    """0.256 → 26 %, with a space that does not break."""
    return f"{100 * share:.0f}\u202f%"


def signed(value: float | None) -> str:
    """−0.17 with a real minus, no −0.00, and a dash where there is no number."""
    if value is None:
        return "–"
    return f"{value:.2f}".replace("-0.00", "0.00").replace("-", "−")


def told(text: str) -> Markup:
    """A sentence of ours with `code` and **strong** → HTML; everything else in it is escaped."""
    return Markup(inline(text))


def picture(figure: Figure, label: str) -> Markup:
    """A figure as SVG that takes the page's colour of text; `label` says what is to be seen.

    The same figure gives the same bytes.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "course"}):
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.S)
    drawn = drawn.replace("font: ", "font-family: system-ui, sans-serif; font: ")
    title = Markup("<title>{}</title>").format(label)
    drawn = re.sub(r"(<svg[^>]*)>", lambda m: f'{m[1]} role="img">{title}', drawn, count=1)
    return Markup(drawn)
