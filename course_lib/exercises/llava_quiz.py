"""Recap questions of notebook 13_llava; the last three belong to earlier lessons."""

from __future__ import annotations

from course_lib.exercises.quiz import Question

QUIZ = (
    Question(
        prompt="What does the language model of LLaVA know of where in the picture a patch was?",
        choices=(
            "Nothing: attention treats patches as a bag",
            "The projector writes its row and column into each vector",
            "The order in which the patches stand in the text, and what the tower has put in",
        ),
        correct=2,
        why=(
            "The language model counts places, with patches as with words.",
            "The projector is the same for each patch, and is not told which one it has.",
            "Row by row, one place after another, like words; and the tower has positions of its "
            "own.",
        ),
    ),
    Question(
        prompt=(
            "A network answers 61 % of the questions about colours rightly, a blind one 13 %. "
            "What is shown by that?"
        ),
        choices=(
            "That it has understood the questions",
            "That it looks; which object it looks at is not known yet",
            "Nothing: the blind one is not trained to be blind",
        ),
        correct=1,
        why=(
            "Naming *some* object's colour, with one to three objects, is right just as often.",
            "Divide the questions by the number of objects: the habit is right with one, and at "
            "one third with three.",
            "It shows that the picture is used: the same network was only shown another thing.",
        ),
    ),
    Question(
        prompt="Why does the end token behind a reply count in the loss?",
        choices=(
            "Because it is the pad, and pads count",
            "So that the model learns to stop; and it is the assistant who decides that",
            "So that the loss has at least one token",
        ),
        correct=1,
        why=(
            "It has the *id* of the pad here; a pad must not count.",
            "A model that was never taught to end goes on, and begins to ask itself questions.",
            "An empty reply is refused before.",
        ),
    ),
    Question(
        prompt="In stage 1 the projector learns alone. What keeps the language model from moving?",
        choices=(
            "No gradients flow through it",
            "Its learning rate is small",
            "Gradients flow *through* it to the projector, but its own weights are not updated",
        ),
        correct=2,
        why=(
            "Then none would reach the projector, which stands before it.",
            "It is not updated at all.",
            "That is why stage 1 still costs a pass back through the whole language model.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 10: a cache keeps keys and values. What of LLaVA's picture has to be "
            "computed again for each new word?"
        ),
        choices=(
            "The tower, since the question has changed",
            "Nothing: its places are read once, and their keys and values are kept",
            "The projector",
        ),
        correct=1,
        why=(
            "The tower never sees a word.",
            "A picture is a long beginning of the text. That is also why it costs memory: in "
            "LLaVA-1.5, 576 places in each block.",
            "Its vectors went in with the prompt.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 11: CLIP hardly noticed that *left of* had become *right of*. The "
            "authors' LLaVA sees through CLIP's tower (ours through BLIP's). Can it answer such a "
            "question?"
        ),
        choices=(
            "Yes, if the patches tell it: what was lost in the one vector need not be lost in them",
            "No: what CLIP does not know LLaVA cannot know",
            "Yes, because it is larger",
        ),
        correct=0,
        why=(
            "And if its loss asks for each step on the way: a question about sides has one right "
            "answer, where a caption among strangers could do without. Section 6 tells how.",
            "CLIP's *vector* was never asked. The patches below it still lie where they lie; "
            "whether they say enough is to be measured.",
            "Size alone teaches nothing that no loss asks for.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 06: what would a vision tower without any positions leave to the language "
            "model?"
        ),
        choices=(
            "The order of the patches in the text would still say where each was",
            "Nothing at all",
            "Only the class token",
        ),
        correct=0,
        why=(
            "Patches could no longer know their places *in the tower*, but they are still written "
            "down row by row.",
            "What is in each patch is still there.",
            "LLaVA does not take it.",
        ),
    ),
)
