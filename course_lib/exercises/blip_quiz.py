"""Recap questions of notebook 12_blip; the last three belong to earlier lessons."""

from __future__ import annotations

from course_lib.exercises.quiz import Question

QUIZ = (
    Question(
        prompt="Reader and writer share nearly all layers. Which ones are each one's own?",
        choices=(
            "The cross-attention: a judge looks at a picture otherwise than a writer",
            "The self-attention: one looks to both sides, the other back only",
            "The MLP, which holds what is known of words",
        ),
        correct=1,
        why=(
            'It is shared: where to look for "red" is the same for both.',
            "That is where reading and writing differ; sharing it cost the authors accuracy "
            "(table 3 of the paper).",
            "It is shared, as are the token vectors.",
        ),
    ),
    Question(
        prompt="Why are the queue's features those of a *slow* encoder?",
        choices=(
            "So that features of earlier batches still fit those of today",
            "A slow encoder needs less memory",
            "So that the queue receives a smoother gradient",
        ),
        correct=0,
        why=(
            "The fast encoder of a hundred steps ago was another network; the slow one has hardly "
            "moved.",
            "It is as large as the fast one, and has to be kept beside it.",
            "The queue receives none at all.",
        ),
    ),
    Question(
        prompt="A filter keeps a caption that leaves an object out. Is the caption *false*?",
        choices=(
            "No: all that the caption says is so; that it says too little is another question",
            "Yes: a caption must name everything",
            "Yes: left-out objects are negatives in its training",
        ),
        correct=0,
        why=(
            "The filter asks whether picture and text belong together. Whether it minds omissions "
            "depends on the captions that it was trained with; ours named everything.",
            "Then nearly every caption of the web would be noise.",
            "Its negatives are captions of *other* pictures.",
        ),
    ),
    Question(
        prompt="A captioner retrained on cleaned captions is better than one trained on all. What "
        "else must be shown before the *filter* deserves the praise?",
        choices=(
            "That the loss on the cleaned captions is lower",
            "That as many captions drawn at random from the same pool do not help as much",
            "That the filter's verdicts are certain, near 0 or 1",
        ),
        correct=1,
        why=(
            "It is lower because they are easier to predict; that proves nothing.",
            "Number and kind of the captions have changed, too. The random set of the same size "
            "has both, and only the choice is missing.",
            "One can be certain and wrong.",
        ),
    ),
    Question(
        prompt="The loss of a captioner falls to 0.02 nats a word after a few hundred steps, and "
        "half of what it writes is wrong. What do you look at first?",
        choices=(
            "The filter's threshold",
            "The temperature",
            "The causal mask: it reads the words that it shall predict",
        ),
        correct=2,
        why=(
            "The filter does not touch this loss.",
            "The temperature belongs to the comparison, or to drawing words; neither makes this "
            "loss fall so far.",
            "While writing there is nothing to read yet, and it has learned nothing else.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 08: DINO's teacher is a slow copy as well. What differs in what it is "
            "there for?"
        ),
        choices=(
            "There it gives *all* of the targets; here it gives a share alpha of them, and fills "
            "the queue",
            "There it receives gradients",
            "There is no difference: both prevent collapse",
        ),
        correct=0,
        why=(
            "In DINO nobody else knows an answer. Here the pairs do.",
            "In neither.",
            "BLIP would not collapse without it: partners and strangers come from the captions.",
        ),
    ),
    Question(
        prompt=(
            "From lesson 11: CLIP hardly notices that two colours have changed places. Why may a "
            "match head do better?"
        ),
        choices=(
            "It is larger",
            "Its words look at the picture's patches before there is a verdict; CLIP compares two "
            "finished vectors",
            "It has seen more captions",
        ),
        correct=1,
        why=(
            "Its head is one linear layer.",
            "It *may*: each noun can look where its thing is. Whether it does is decided by the "
            "negatives that it is trained with.",
            "Of fewer, here: 80,000 against 120,000.",
        ),
    ),
    Question(
        prompt="From lesson 10: what is *teacher forcing* in the training of a writer?",
        choices=(
            "The next word is asked behind the true beginning, also where the network would have "
            "written another",
            "The slow encoder corrects the words",
            "Words of low probability are cut off",
        ),
        correct=0,
        why=(
            "So one run gives a question for each word; while writing it reads its own words.",
            "A teacher of another kind; no slow encoder is in this loss.",
            "That is the nucleus, when words are drawn.",
        ),
    ),
)
