"""A recap question: radio buttons in a live notebook, the same question as text in a saved one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from course_lib.exercises.render import INK, LOOKS, State, inline, unmarked

if TYPE_CHECKING:
    import ipywidgets

WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Question:
    """One question. `correct` is the index of the right choice; `why` has a sentence for each."""

    prompt: str  # text with `code`, *emphasis* and **strong**
    choices: tuple[str, ...]
    correct: int
    why: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.choices)
        if n < 2 or len(set(self.choices)) < n:
            raise ValueError(f"at least two different choices are expected, but got {self.choices}")
        if len(self.why) != n:
            raise ValueError(
                f"{n} sentences are expected, one for each choice, but got {len(self.why)}"
            )
        if self.correct not in range(n):
            raise ValueError(f"the right choice must be 0 to {n - 1}, but {self.correct} was given")

    def answer(self, choice: int) -> str:
        """What is said to a choice: icon and word, and the reason."""
        state = State.RIGHT if choice == self.correct else State.WRONG
        return f"{LOOKS[state].icon} {state}: {self.why[choice]}"

    def as_text(self) -> str:
        """The question and its choices, without the answer."""
        return "\n".join([self.prompt, *(f"  ( ) {choice}" for choice in self.choices)])

    def as_html(self) -> str:
        """The question for a saved notebook: each choice unfolds to its answer."""
        unfolding = "".join(
            f"<details><summary>{inline(choice)}</summary>{inline(self.answer(i))}</details>"
            for i, choice in enumerate(self.choices)
        )
        return f"<p><strong>{inline(self.prompt)}</strong></p>{unfolding}"

    def widget(self) -> ipywidgets.Widget:
        """Radio buttons (Tab and arrow keys work) with the answer below."""
        import ipywidgets

        prompt = ipywidgets.HTML(f"<strong>{inline(self.prompt)}</strong>")
        buttons = ipywidgets.RadioButtons(
            options=[(unmarked(choice), i) for i, choice in enumerate(self.choices)],
            value=None,
            layout=ipywidgets.Layout(width="max-content"),
        )
        said = ipywidgets.HTML()

        def tell(change: dict[str, Any]) -> None:
            if change["new"] is None:  # the choice was taken back
                said.value = ""
                return
            look = LOOKS[State.RIGHT if change["new"] == self.correct else State.WRONG]
            style = f"background:{look.ground};color:{INK};border-left:8px {look.edge};padding:.4em"
            text = inline(self.answer(change["new"]))
            said.value = f"<div role='status' style='{style}'>{text}</div>"

        buttons.observe(tell, names="value")
        return ipywidgets.VBox([prompt, buttons, said])


class Quiz:
    """Several questions in one cell. Without ipywidgets or a kernel they stay readable."""

    def __init__(self, questions: Sequence[Question]) -> None:
        self.questions = tuple(questions)

    def __repr__(self) -> str:
        numbered = enumerate(self.questions, 1)
        return "\n\n".join(f"{n}. {question.as_text()}" for n, question in numbered)

    def as_html(self) -> str:
        """All questions for a saved notebook."""
        return "".join(question.as_html() for question in self.questions)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        bundle = {"text/plain": repr(self), "text/html": self.as_html()}
        try:
            import ipywidgets
        except ImportError:
            return bundle
        box = ipywidgets.VBox([question.widget() for question in self.questions])
        return bundle | {WIDGET: box._repr_mimebundle_()[WIDGET]}
