"""The questions at the end of notebook 10_language."""

from __future__ import annotations

from course_lib.exercises.quiz import Question

QUIZ = (
    Question(
        prompt="One model pays 1.2 nats a token, another 2.0, with another tokenizer. Which knows "
        "its language better?",
        choices=(
            "The first: its loss is lower",
            "The second: its tokens are longer",
            "That cannot be said from losses a token",
        ),
        correct=2,
        why=(
            "With short tokens every single one is easy; there are only more of them.",
            "A greater loss may come of longer tokens, or of a worse model.",
            "Compare what the same *text* costs: sum over its tokens, or divide by its bytes.",
        ),
    ),
    Question(
        prompt="Why can a causal model keep the keys and values of the words that it has read?",
        choices=(
            "Nobody looks ahead, so no later word changes what was made of an earlier one",
            "Rotary positions do not depend on the place",
            "The weights are no longer trained when it writes",
        ),
        correct=0,
        why=(
            "In BERT a new word would change the vectors of all words, and nothing could be kept.",
            "They do: a key is turned by its place, once, and kept so.",
            "True, and not enough: BERT's are not trained then, either.",
        ),
    ),
    Question(
        prompt="All places of a text move on by 100. What do rotary positions make of that?",
        choices=(
            "Other scores: every query and key is turned further",
            "The same scores: both are turned by the same angle more",
            "An error, unless the model has seen so long a text",
        ),
        correct=1,
        why=(
            "Each of the two is turned further, but by the same angle; their product stays.",
            "A score depends on the two contents and on the *difference* of the places.",
            "The angles can be computed for every place. *Distances* never seen are the trouble.",
        ),
    ),
    Question(
        prompt="A language model's loss falls to nearly 0 in a few hundred steps, on new texts as "
        "well. What do you suspect first?",
        choices=(
            "Overfitting",
            "Too high a learning rate",
            "That the word to be predicted can be seen",
        ),
        correct=2,
        why=(
            "Overfitting shows as a gap: new texts would not be predicted so well.",
            "That makes losses rise or waver, not vanish.",
            "The mask is missing, or the words were not shifted against the logits. No honest "
            "loss is below the text's own uncertainty.",
        ),
    ),
    Question(
        prompt="Two models pay the same loss on new texts. Do they write equally good texts?",
        choices=(
            "Yes: the loss measures just that",
            "Not necessarily: a rare fault costs little in the mean",
            "Not comparable, unless both have read the same texts",
        ),
        correct=1,
        why=(
            "It is a mean over all tokens, most of which are grammar. What differs may be rare.",
            "Pairs that the world never shows cost this lesson's writer less than 0.02 nats a "
            "token, and one object in five is such a pair.",
            "The same new texts and the same tokens make losses comparable, whatever was read.",
        ),
    ),
    Question(
        prompt="The pads of our batches have the same number as the end token. Somebody leaves "
        "out of the loss every target with *this number*, to be rid of the pads. What happens?",
        choices=(
            "Nothing: pads were not to count anyway",
            "The loss rises, as the end is hard to predict",
            "The model never learns to stop",
        ),
        correct=2,
        why=(
            "The real end of each text is left out with them.",
            "The end is easy to predict here; without it the mean changes little.",
            "The end of a text is a token to be predicted. `is_pad` knows it from the fillers "
            "behind it; the number does not.",
        ),
    ),
    Question(
        prompt="A temperature of 0.5 in place of 1: what does it do to the texts?",
        choices=(
            "It only takes the faults out",
            "It makes frequent things more frequent, in faults and in contents",
            "It makes them shorter",
        ),
        correct=1,
        why=(
            "It cannot know what is a fault: it raises what is likely and lowers what is rare.",
            "Rare words that are right become rarer, too, so the texts resemble each other more.",
            "Nothing in it knows of lengths; if the end is seldom the likeliest, they grow longer.",
        ),
    ),
    Question(
        prompt="From lesson 07: with 128 pictures, a network that only guesses pays ln 255 in "
        "NT-Xent. What is the like for a language model?",
        choices=(
            "ln of the number of tokens in the vocabulary",
            "ln of the length of the text",
            "ln of the number of texts in the batch",
        ),
        correct=0,
        why=(
            "Both are a choice among candidates: there 255 views, here V tokens.",
            "The length says how many such choices there are, not among how many tokens.",
            "The other texts of the batch are no candidates here.",
        ),
    ),
    Question(
        prompt="From lesson 09: MAE learns from the patches that it hides. What does a causal "
        "model hide?",
        choices=(
            "15 % of the words",
            "Nothing: it has no mask token",
            "From each word, all that come after it",
        ),
        correct=2,
        why=(
            "That is BERT, which can look both ways and so learns from few of the words.",
            "It has no mask token, for its mask is in the attention.",
            "So every word but the first is predicted from what stands before it: a text of L "
            "words asks L − 1 questions at once.",
        ),
    ),
)
