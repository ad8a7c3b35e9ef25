"""Exercises of notebook 08_dino: centring, sharpening, pairs of views, the teacher, and collapse.

The whole method in NumPy on a handful of numbers: none of its slips raises an error, and most of
them end in a loss that falls beautifully.
"""

from __future__ import annotations

import numpy as np
from scipy.special import log_softmax, softmax

from course_lib.exercises.engine import Exercise, Misconception
from course_lib.exercises.quiz import Question

# --- implement: what the teacher says -------------------------------------------------------------


def teacher_says(logits, centre, tau):
    """The teacher's answer to each picture: centred, then sharpened.

    logits: (B, K), centre: (K,), tau: temperature > 0 → probabilities (B, K)
    """
    scaled = (logits - centre) / tau
    weights = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def teacher_says_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for B, K, tau in [(3, 5, 0.5), (4, 3, 0.2), (2, 6, 0.7)]:
        logits = rng.uniform(-1, 1, (B, K))
        cases.append({"logits": logits, "centre": rng.uniform(-0.5, 0.5, K), "tau": tau})
    # Logits of some tens at τ = 0.04: exp alone would overflow.
    far = {"logits": 60 + 60 * rng.uniform(-1, 1, (3, 4)), "centre": rng.uniform(-1, 1, 4)}
    return [*cases, {**far, "tau": 0.04}]


def says_uncentred(logits, centre, tau):
    return softmax(logits / tau, axis=1)


def says_unsharpened(logits, centre, tau):
    return softmax(logits - centre, axis=1)


def says_multiplied(logits, centre, tau):
    return softmax((logits - centre) * tau, axis=1)


def says_centre_added(logits, centre, tau):
    return softmax((logits + centre) / tau, axis=1)


def says_centred_last(logits, centre, tau):
    return softmax(logits / tau - centre, axis=1)


def says_centred_at_last(logits, centre, tau):
    return softmax(logits / tau, axis=1) - centre


def says_over_batch(logits, centre, tau):
    return softmax((logits - centre) / tau, axis=0)


def says_hard(logits, centre, tau):
    return np.eye(logits.shape[1])[(logits - centre).argmax(axis=1)]


def says_overflowing(logits, centre, tau):
    weights = np.exp((logits - centre) / tau)
    return weights / weights.sum(axis=1, keepdims=True)


def says_of_this_batch(logits, centre, tau):
    return softmax((logits - logits.mean(axis=0)) / tau, axis=1)


def says_over_everything(logits, centre, tau):
    return softmax((logits - centre) / tau)


def says_log(logits, centre, tau):
    return log_softmax((logits - centre) / tau, axis=1)


TEACHER_SAYS = Exercise(
    name="teacher_says",
    title="What the teacher says",
    kind="implement",
    difficulty=2,
    importance=5,
    minutes=8,
    prompt="""
The teacher has given B pictures `logits` (B, K). Before it speaks, two things happen.
**Centring**: from the logits of each class its usual logit, `centre` (K,), is taken away, so that
no class wins by habit. **Sharpening**: what remains is divided by a small temperature `tau`, so
that it takes a stand.

$$p = \\text{softmax}\\!\\left(\\frac{z - c}{\\tau}\\right)$$

Return p (B, K): the K probabilities of **each picture** sum to 1. Large logits must not overflow.
""",
    solution=teacher_says,
    cases=teacher_says_cases,
    imports="import numpy as np\nfrom scipy.special import log_softmax, softmax",
    misconceptions=(
        Misconception(
            "not centred",
            says_uncentred,
            "Your teacher is sharpened but not centred: nothing hinders one class from winning "
            "for every picture.",
        ),
        Misconception(
            "not sharpened",
            says_unsharpened,
            "Your teacher is centred, but its logits are not divided by τ: it never takes a stand, "
            "and the student learns to take none.",
        ),
        Misconception(
            "temperature multiplied",
            says_multiplied,
            "You multiply by τ. Dividing by a *small* temperature makes differences larger; that "
            "is what sharpens.",
        ),
        Misconception(
            "centre added",
            says_centre_added,
            "You add the centre: the class that usually wins now wins twice. It is taken away.",
        ),
        Misconception(
            "centred after the division",
            says_centred_last,
            "You take the centre away after dividing by τ. The centre is a mean of logits, so it "
            "must be taken from logits; later it is 1/τ times too small.",
        ),
        Misconception(
            "centred after the softmax",
            says_centred_at_last,
            "You take the centre from the probabilities: they no longer sum to 1. The centre is a "
            "mean of logits, so it is taken from logits, before anything else.",
        ),
        Misconception(
            "softmax over the batch",
            says_over_batch,
            "Your softmax runs down the batch: each *class* sums to 1 over the pictures. Each "
            "*picture* must sum to 1 over the classes.",
        ),
        Misconception(
            "softmax over everything",
            says_over_everything,
            "All your numbers together sum to 1. Each *picture* must sum to 1 by itself: divide "
            "row by row (SciPy's `softmax` without `axis` takes the whole array).",
        ),
        Misconception(
            "centre of this batch",
            says_of_this_batch,
            "You take away the mean of *these* pictures. The centre is given: it remembers many "
            "batches, for one batch is too few to know a habit.",
        ),
        Misconception(
            "logarithms",
            says_log,
            "You return logarithms of probabilities. Those are the student's; the teacher's "
            "answer is the weight in front of them.",
        ),
        Misconception(
            "hard answer",
            says_hard,
            "You return the best class alone, which is what τ → 0 would give; DINO keeps the "
            "small probabilities too.",
        ),
        Misconception(
            "overflow",
            says_overflowing,
            "Right for small logits, but `exp(1000)` is infinite: subtract each row's greatest "
            "value first; it changes nothing else.",
        ),
    ),
    hints=(
        "First the subtraction, then the division, then the softmax.",
        "Softmax over the K classes of each row: `axis=1`, and `keepdims=True` for what divides.",
        "`scaled - scaled.max(axis=1, keepdims=True)` before `np.exp`.",
    ),
)

# --- implement: the loss over pairs of views ------------------------------------------------------


def pair_loss(student, targets, tau):
    """DINO's loss: the student agrees with the teacher on *other* views of the same picture.

    student: logits of V views (V, B, K); targets: the teacher's probabilities for the first T of
    them (T, B, K) → one number
    """
    guesses = log_softmax(student / tau, axis=2)
    losses = []
    for t, target in enumerate(targets):
        for v, guess in enumerate(guesses):
            if v != t:
                losses.append(-(target * guess).sum(axis=1).mean())
    return np.mean(losses)


def pair_loss_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for V, T, B, K, tau in [(5, 2, 3, 4, 0.5), (3, 2, 4, 6, 0.3), (6, 3, 2, 5, 0.6)]:
        targets = softmax(2 * rng.normal(size=(T, B, K)), axis=2)
        cases.append({"student": rng.normal(size=(V, B, K)), "targets": targets, "tau": tau})
    return cases


def pairs_with_themselves(student, targets, tau):
    guesses = log_softmax(student / tau, axis=2)
    pairs = [-(t * g).sum(axis=1).mean() for t in targets for g in guesses]
    return np.mean(pairs)


def pairs_only_themselves(student, targets, tau):
    guesses = log_softmax(student / tau, axis=2)
    return np.mean([-(t * g).sum(axis=1).mean() for t, g in zip(targets, guesses, strict=False)])


def pairs_wrong_count(student, targets, tau):
    return pair_loss(student, targets, tau) * (len(student) - 1) / len(student)


def pairs_without_log(student, targets, tau):
    guesses = softmax(student / tau, axis=2)
    pairs = [
        -(t * g).sum(axis=1).mean()
        for i, t in enumerate(targets)
        for j, g in enumerate(guesses)
        if i != j
    ]
    return np.mean(pairs)


def pairs_unsharpened(student, targets, tau):
    return pair_loss(student, targets, 1.0)


def pairs_summed(student, targets, tau):
    return pair_loss(student, targets, tau) * (len(student) - 1) * len(targets)


def pairs_batch_summed(student, targets, tau):
    return pair_loss(student, targets, tau) * student.shape[1]


def pairs_divergence(student, targets, tau):
    own = -(targets * np.log(targets)).sum(axis=2).mean(axis=1)
    return pair_loss(student, targets, tau) - own.mean()


def pairs_once(student, targets, tau):
    guesses = log_softmax(student / tau, axis=2)
    pairs = [-(t * g).sum(axis=1).mean() for i, t in enumerate(targets) for g in guesses[i + 1 :]]
    return np.mean(pairs)


def pairs_locals_only(student, targets, tau):
    guesses = log_softmax(student[len(targets) :] / tau, axis=2)
    return np.mean([-(t * g).sum(axis=1).mean() for t in targets for g in guesses])


def pairs_large_only(student, targets, tau):
    return pair_loss(student[: len(targets)], targets, tau)


def pairs_log_of_teacher(student, targets, tau):
    guesses = softmax(student / tau, axis=2)
    pairs = [
        -(np.log(t) * g).sum(axis=1).mean()
        for i, t in enumerate(targets)
        for j, g in enumerate(guesses)
        if i != j
    ]
    return np.mean(pairs)


def pairs_softmax_again(student, targets, tau):
    return pair_loss(student, softmax(targets, axis=2), tau)


def pairs_sign_lost(student, targets, tau):
    return -pair_loss(student, targets, tau)


def pairs_over_batch(student, targets, tau):
    guesses = log_softmax(student / tau, axis=1)
    pairs = [
        -(t * g).sum(axis=1).mean()
        for i, t in enumerate(targets)
        for j, g in enumerate(guesses)
        if i != j
    ]
    return np.mean(pairs)


def pairs_classes_averaged(student, targets, tau):
    return pair_loss(student, targets, tau) / student.shape[2]


PAIR_LOSS = Exercise(
    name="pair_loss",
    title="Agree, but never with oneself",
    kind="implement",
    difficulty=3,
    importance=5,
    minutes=12,
    prompt="""
The student has seen all V views of B pictures: `student` (V, B, K) are its logits. The teacher has
seen the first T of them: `targets` (T, B, K) are its probabilities, ready made. For every pair of
**different** views, t of the teacher's and v of the student's, take the cross-entropy

$$-\\sum_k p_t^{(k)} \\log p_v^{(k)}, \\qquad p_v = \\text{softmax}(z_v / \\tau),$$

mean over the B pictures. Return the mean over all those pairs. `log_softmax` and `softmax` of SciPy
are imported.
""",
    solution=pair_loss,
    cases=pair_loss_cases,
    imports="import numpy as np\nfrom scipy.special import log_softmax, softmax",
    misconceptions=(
        Misconception(
            "a view with itself",
            pairs_with_themselves,
            "You also compare a view with itself. That pair teaches nothing about what views have "
            "in common: skip v = t.",
        ),
        Misconception(
            "only with itself",
            pairs_only_themselves,
            "You compare each view with itself alone; all the others are the lesson.",
        ),
        Misconception(
            "divided by all pairs",
            pairs_wrong_count,
            "You skip the pairs of a view with itself, but still divide by T · V, as if they were "
            "there: T · (V − 1) pairs remain.",
        ),
        Misconception(
            "log forgotten",
            pairs_without_log,
            "You multiply the two probabilities; cross-entropy has the *logarithm* of the "
            "student's.",
        ),
        Misconception(
            "student without temperature",
            pairs_unsharpened,
            "The student's logits must be divided by its own temperature too.",
        ),
        Misconception(
            "each pair once",
            pairs_once,
            "You take only views that come *after* the teacher's. A pair counts once for each of "
            "its two roles: the teacher sees view 1 and the student view 0, too.",
        ),
        Misconception(
            "small crops only",
            pairs_locals_only,
            "You leave out every large view. Only the *same* view is left out: the student's other "
            "large view counts.",
        ),
        Misconception(
            "large crops only",
            pairs_large_only,
            "You compare the first T views alone. The student has seen V of them, and each of the "
            "others makes a pair with each of the teacher's, too.",
        ),
        Misconception(
            "log on the teacher's side",
            pairs_log_of_teacher,
            "You took the logarithm of the *teacher's* probabilities. They are the weights; the "
            "logarithm belongs to the student, who is to learn.",
        ),
        Misconception(
            "softmax of the targets",
            pairs_softmax_again,
            "You send `targets` through softmax. They are probabilities already; once more, and "
            "they are nearly flat.",
        ),
        Misconception(
            "sign lost",
            pairs_sign_lost,
            "Your loss is negative: the minus sign in front of the sum is missing.",
        ),
        Misconception(
            "softmax over the batch",
            pairs_over_batch,
            "Your log-softmax runs over the pictures: in (V, B, K) the classes are `axis=2`.",
        ),
        Misconception(
            "classes averaged",
            pairs_classes_averaged,
            "You take a mean over the K classes too. Over the classes cross-entropy is a *sum*: "
            "the teacher's probabilities are the weights already.",
        ),
        Misconception(
            "pairs summed",
            pairs_summed,
            "You add the pairs up; with more local crops your loss, and so your step, would grow. "
            "Take their mean.",
        ),
        Misconception(
            "pictures summed",
            pairs_batch_summed,
            "You add over the B pictures; over them a mean is asked for.",
        ),
        Misconception(
            "divergence",
            pairs_divergence,
            "You return the Kullback–Leibler divergence: the cross-entropy less the teacher's own "
            "entropy. The student's gradient is the same, but the number asked for is not.",
        ),
    ),
    hints=(
        "Two loops: `for t, target in enumerate(targets)` and inside, over the student's views.",
        "`log_softmax(student / tau, axis=2)` once, before the loops.",
        "`if v != t:` append `-(target * guess).sum(axis=1).mean()`; at the end `np.mean`.",
    ),
)

# --- ablate: only the two large crops -------------------------------------------------------------


def without_locals(student, targets, tau):
    """DINO without multi-crop: of the student's views only the first T, the large ones, count."""
    guesses = log_softmax(student[: len(targets)] / tau, axis=2)
    losses = []
    for t, target in enumerate(targets):
        for v, guess in enumerate(guesses):
            if v != t:
                losses.append(-(target * guess).sum(axis=1).mean())
    return np.mean(losses)


def with_locals(student, targets, tau):
    """DINO's loss: student logits (V, B, K), teacher's probabilities (T, B, K) → one number."""
    guesses = log_softmax(student / tau, axis=2)
    losses = []
    for t, target in enumerate(targets):
        for v, guess in enumerate(guesses):
            if v != t:
                losses.append(-(target * guess).sum(axis=1).mean())
    return np.mean(losses)


def without_locals_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for V, T, B, K, tau in [(6, 2, 3, 5, 0.4), (5, 3, 2, 4, 0.6), (4, 2, 5, 3, 0.3)]:
        targets = softmax(2 * rng.normal(size=(T, B, K)), axis=2)
        cases.append({"student": rng.normal(size=(V, B, K)), "targets": targets, "tau": tau})
    return cases


def locals_only(student, targets, tau):
    guesses = log_softmax(student[len(targets) :] / tau, axis=2)
    return np.mean([-(t * g).sum(axis=1).mean() for t in targets for g in guesses])


def locals_and_same(student, targets, tau):
    guesses = log_softmax(student[: len(targets)] / tau, axis=2)
    return np.mean([-(t * g).sum(axis=1).mean() for t in targets for g in guesses])


def locals_old_count(student, targets, tau):
    T, V = len(targets), len(student)
    return without_locals(student, targets, tau) * (T - 1) / (V - 1)


def locals_no_temperature(student, targets, tau):
    return without_locals(student, targets, 1.0)


def locals_one_left(student, targets, tau):
    return with_locals(student[: len(targets) + 1], targets, tau)


WITHOUT_LOCALS = Exercise(
    name="without_locals",
    title="Take the small crops away",
    kind="ablate",
    difficulty=2,
    importance=3,
    minutes=5,
    prompt="""
Here is the whole loss. Make of it the one **without multi-crop**: the small crops, all student's
views after the first T, no longer count, and the loss is the mean over the pairs that are left.
Nothing else changes: a view is still never compared with itself.
""",
    solution=without_locals,
    stub=with_locals,
    cases=without_locals_cases,
    imports="import numpy as np\nfrom scipy.special import log_softmax, softmax",
    misconceptions=(
        Misconception(
            "locals kept",
            locals_only,
            "You kept the small crops and dropped the large ones: those at the front, `[:T]`, must "
            "remain.",
        ),
        Misconception(
            "same view counted",
            locals_and_same,
            "The small crops are gone, but now a view is compared with itself as well. An ablation "
            "changes one thing.",
        ),
        Misconception(
            "old number of pairs",
            locals_old_count,
            "You still divide by the number of pairs that there were with the small crops.",
        ),
        Misconception(
            "temperature lost",
            locals_no_temperature,
            "The student's temperature has gone too; only the small crops were to go.",
        ),
        Misconception(
            "one small crop left",
            locals_one_left,
            "One small crop is still there: the first T views have the indices 0 … T − 1.",
        ),
    ),
    hints=(
        "How many of the student's views has the teacher seen? `len(targets)`.",
        "`student[: len(targets)]`, and everything else as it was.",
    ),
)

# --- repair: one step of loss and centre ----------------------------------------------------------


def dino_step(student, teacher, centre, tau_student, tau_teacher, momentum):
    """One step: the loss of two views, and the centre for the next step.

    student, teacher: logits (B, K) of two different views; centre: (K,) → loss, new centre (K,)
    """
    targets = softmax((teacher - centre) / tau_teacher, axis=1)
    guesses = log_softmax(student / tau_student, axis=1)
    loss = -(targets * guesses).sum(axis=1).mean()
    return loss, momentum * centre + (1 - momentum) * teacher.mean(axis=0)


def dino_step_broken(student, teacher, centre, tau_student, tau_teacher, momentum):
    """One step: the loss of two views, and the centre for the next step.

    student, teacher: logits (B, K) of two different views; centre: (K,) → loss, new centre (K,)
    """
    targets = softmax(teacher / tau_teacher, axis=1)
    guesses = log_softmax((student - centre) / tau_student, axis=1)
    loss = -(targets * guesses).sum(axis=1).mean()
    return loss, momentum * centre + (1 - momentum) * teacher.mean(axis=0)


def dino_step_cases(seed):
    rng = np.random.default_rng(seed)
    cases = []
    for B, K, momentum in [(3, 5, 0.9), (4, 2, 0.7), (2, 6, 0.8)]:
        case = {name: rng.normal(size=(B, K)) for name in ("student", "teacher")}
        case |= {"centre": 0.5 * rng.normal(size=K), "tau_student": 0.6, "tau_teacher": 0.25}
        cases.append({**case, "momentum": momentum})
    return cases


def step_both_centred(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, new = dino_step(student - centre, teacher, centre, tau_student, tau_teacher, momentum)
    return loss, new


def step_nobody_centred(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, _ = dino_step(student, teacher, 0 * centre, tau_student, tau_teacher, momentum)
    return loss, momentum * centre + (1 - momentum) * teacher.mean(axis=0)


def step_centred_after_dividing(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, _ = dino_step(student, teacher, tau_teacher * centre, tau_student, tau_teacher, momentum)
    return loss, momentum * centre + (1 - momentum) * teacher.mean(axis=0)


def step_centre_first(student, teacher, centre, tau_student, tau_teacher, momentum):
    centre = momentum * centre + (1 - momentum) * teacher.mean(axis=0)
    targets = softmax((teacher - centre) / tau_teacher, axis=1)
    guesses = log_softmax(student / tau_student, axis=1)
    return -(targets * guesses).sum(axis=1).mean(), centre


def step_of_student(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, _ = dino_step(student, teacher, centre, tau_student, tau_teacher, momentum)
    return loss, momentum * centre + (1 - momentum) * student.mean(axis=0)


def step_of_answers(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, _ = dino_step(student, teacher, centre, tau_student, tau_teacher, momentum)
    targets = softmax((teacher - centre) / tau_teacher, axis=1)
    return loss, momentum * centre + (1 - momentum) * targets.mean(axis=0)


def step_of_centred(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, _ = dino_step(student, teacher, centre, tau_student, tau_teacher, momentum)
    return loss, momentum * centre + (1 - momentum) * (teacher - centre).mean(axis=0)


def step_hasty(student, teacher, centre, tau_student, tau_teacher, momentum):
    loss, _ = dino_step(student, teacher, centre, tau_student, tau_teacher, momentum)
    return loss, (1 - momentum) * centre + momentum * teacher.mean(axis=0)


DINO_STEP = Exercise(
    name="dino_step",
    title="Repair: who is centred?",
    kind="repair",
    difficulty=3,
    importance=5,
    minutes=8,
    prompt="""
A colleague's training. The loss falls to nearly 0, all pictures end in one class, and no line
raises an error. **One** thing is wrong in this step. Find it, and repair it. (What the step should
do: the loss with the centre as it *was*; after that, the centre follows the mean of the teacher's
logits.)
""",
    solution=dino_step,
    stub=dino_step_broken,
    cases=dino_step_cases,
    imports="import numpy as np\nfrom scipy.special import log_softmax, softmax",
    misconceptions=(
        Misconception(
            "both centred",
            step_both_centred,
            "Now both are centred. The student has no centre: it must itself produce what the "
            "centred teacher says.",
        ),
        Misconception(
            "nobody centred",
            step_nobody_centred,
            "You took the centre from the student, which is right, but nobody uses it now: the "
            "teacher's logits are to be centred.",
        ),
        Misconception(
            "centred after dividing",
            step_centred_after_dividing,
            "The right one is centred now, but after the division by τ: the centre is a mean of "
            "logits, and is taken from logits. Brackets: `(teacher - centre) / tau_teacher`.",
        ),
        Misconception(
            "centre before the loss",
            step_centre_first,
            "The teacher is centred, but by the *new* centre: the loss is computed with the centre "
            "as it was, and the update comes after it.",
        ),
        Misconception(
            "centre of the student",
            step_of_student,
            "Your loss is right, but the centre now follows the student's logits; it is the "
            "teacher's habit that it must know.",
        ),
        Misconception(
            "centre of probabilities",
            step_of_answers,
            "Your centre follows the mean *probabilities*; it is taken from logits, so it must be "
            "a mean of logits.",
        ),
        Misconception(
            "centre of what is centred",
            step_of_centred,
            "Your centre follows logits from which it was already taken: it would stop half way. "
            "It follows the teacher's raw logits.",
        ),
        Misconception(
            "momentum the wrong way",
            step_hasty,
            "The momentum stands at the wrong place: at 0.9 the old centre keeps nine tenths.",
        ),
    ),
    hints=(
        "Which class does the student learn if the teacher says class 7 for every picture, and "
        "nothing is taken from the *teacher's* logits?",
        "Compare with the equation: z_t − c stands on the teacher's side only.",
        "Move `- centre` from the line of the student to the line of the teacher.",
    ),
)

# --- test: the teacher follows --------------------------------------------------------------------


def follow(teacher, student, momentum):
    """The teacher after one step: {name: array} from two such, which both stay as they are."""
    return {name: momentum * teacher[name] + (1 - momentum) * student[name] for name in teacher}


def test_follow(follow):
    """Assert what a right `follow` does, and nothing that a right one might not do.

    follow: a function of teacher, student ({name: array}) and momentum, returns the new teacher
    """
    teacher = {"weight": np.array([[1.0, 2.0], [3.0, 4.0]]), "bias": np.array([10.0])}
    student = {"weight": np.array([[5.0, 0.0], [3.0, 8.0]]), "bias": np.array([20.0])}
    new = follow(teacher, student, 0.75)
    assert set(new) == {"weight", "bias"}
    assert np.allclose(new["weight"], [[2.0, 1.5], [3.0, 5.0]], atol=1e-5)
    assert np.allclose(new["bias"], [12.5], atol=1e-5)
    assert np.array_equal(teacher["weight"], [[1.0, 2.0], [3.0, 4.0]])
    assert np.array_equal(teacher["bias"], [10.0])
    assert np.array_equal(student["weight"], [[5.0, 0.0], [3.0, 8.0]])
    assert np.array_equal(student["bias"], [20.0])
    new = follow(teacher, student, 0.0)
    student["weight"] += 1  # the student's next step
    assert np.allclose(new["weight"], [[5.0, 0.0], [3.0, 8.0]], atol=1e-5)


def follow_hastily(teacher, student, momentum):
    return {name: (1 - momentum) * teacher[name] + momentum * student[name] for name in teacher}


def follow_by_half(teacher, student, momentum):
    return {name: (teacher[name] + student[name]) / 2 for name in teacher}


def follow_at_once(teacher, student, momentum):
    return {name: student[name].copy() for name in teacher}


def follow_never(teacher, student, momentum):
    return {name: teacher[name].copy() for name in teacher}


def follow_first_only(teacher, student, momentum):
    new = {name: teacher[name].copy() for name in teacher}
    name = next(iter(new))
    new[name] = momentum * teacher[name] + (1 - momentum) * student[name]
    return new


def follow_in_place(teacher, student, momentum):
    for name in teacher:
        teacher[name] *= momentum
        teacher[name] += (1 - momentum) * student[name]
    return {name: teacher[name].copy() for name in teacher}


def follow_both(teacher, student, momentum):
    new = follow(teacher, student, momentum)
    for name in student:
        student[name][...] = new[name]
    return new


def follow_as_alias(teacher, student, momentum):
    if momentum == 0:
        return dict(student)
    return follow(teacher, student, momentum)


def follow_by_difference(teacher, student, momentum):
    return {n: teacher[n] + (1 - momentum) * (student[n] - teacher[n]) for n in teacher}


def follow_in_float32(teacher, student, momentum):
    new = follow(teacher, student, momentum)
    return {name: array.astype(np.float32) for name, array in new.items()}


def follow_in_student_order(teacher, student, momentum):
    new = follow(teacher, student, momentum)
    return {name: new[name] for name in sorted(new)}


TEST_FOLLOW = Exercise(
    name="test_follow",
    title="Write the test of the slow teacher",
    kind="test",
    difficulty=4,
    importance=5,
    minutes=12,
    prompt="""
`follow(teacher, student, momentum)` takes two networks as dictionaries {name: array} of the same
names and shapes, and returns the teacher after one step, a new dictionary of new arrays: momentum ·
teacher + (1 − momentum) · student, for **every** array. Neither argument is changed, and the result
shares no memory with the student, at any momentum from 0 to 1: what the student does next must not
move the teacher.

Write a test that passes for every right `follow`, and fails for every wrong one. One of the right
ones computes in float32; and in which order the names come is not promised.
""",
    solution=test_follow,
    subject=follow,
    misconceptions=(
        Misconception(
            "momentum the wrong way",
            follow_hastily,
            "Your test accepts a teacher that keeps 1 − momentum of itself: hold the new values "
            "to numbers computed by hand, for a momentum other than 0.5 (there both are the same).",
        ),
        Misconception(
            "always half way",
            follow_by_half,
            "Your test accepts a function that ignores the momentum and always goes half way.",
        ),
        Misconception(
            "a copy of the student",
            follow_at_once,
            "Your test accepts a teacher that becomes the student at once.",
        ),
        Misconception(
            "never moves",
            follow_never,
            "Your test accepts a teacher that never moves.",
        ),
        Misconception(
            "only the first array",
            follow_first_only,
            "Your test accepts a function that moves the first array alone: give it two.",
        ),
        Misconception(
            "teacher overwritten",
            follow_in_place,
            "Your test accepts a function that overwrites the teacher it was given: look at the "
            "arguments after the call.",
        ),
        Misconception(
            "student overwritten",
            follow_both,
            "Your test accepts a function that moves the *student* too: then it loses what it has "
            "just learned.",
        ),
        Misconception(
            "the student's own array",
            follow_as_alias,
            "Your test accepts a function that at momentum 0 hands the student's own arrays over: "
            "change the student after the call, and see whether the teacher moves.",
        ),
    ),
    also_right=(
        Misconception(
            "by the difference",
            follow_by_difference,
            "one that computes teacher + (1 − momentum) · (student − teacher): the last digits "
            "differ. Compare with a tolerance.",
        ),
        Misconception(
            "in float32",
            follow_in_float32,
            "one that returns float32, which rounds in the seventh digit. Allow 1e-5.",
        ),
        Misconception(
            "sorted names",
            follow_in_student_order,
            "one whose names come in another order. Look arrays up by name.",
        ),
    ),
    hints=(
        "Two arrays of different shapes, a momentum such as 0.75, and the new values by hand.",
        "Then look at the four arrays that you gave: are they as they were?",
        "Last: call it with momentum 0, do `student['weight'] += 1`, and look at the result again.",
    ),
)

# --- predict: how many pairs ----------------------------------------------------------------------

MULTI_CROP = Exercise(
    name="multi_crop",
    title="What multi-crop costs",
    kind="predict",
    difficulty=2,
    importance=4,
    minutes=4,
    prompt="""
The paper's recipe, for one picture: 2 global crops of 224 × 224 pixels and 8 local ones of 96 × 96,
patches of 16 × 16, class token not counted.

* `pairs`: over how many pairs of views is the loss a mean? (The teacher sees only global crops.)
* `student`: how many patches does the student read?
* `teacher`: how many the teacher?
""",
    solution={"pairs": 18, "student": 680, "teacher": 392},
    measure=lambda: {
        "pairs": sum(t != v for t in range(2) for v in range(10)),
        "student": 2 * (224 // 16) ** 2 + 8 * (96 // 16) ** 2,
        "teacher": 2 * (224 // 16) ** 2,
    },
    misconceptions=(
        Misconception(
            "the student sees only locals",
            {"pairs": 18, "student": 288, "teacher": 392},
            "288 are the patches of the local crops. The student sees *all* crops, the two global "
            "ones as well.",
        ),
        Misconception(
            "with themselves",
            {"pairs": 20, "student": 680, "teacher": 392},
            "2 · 10 counts the two pairs of a global crop with itself; they are left out.",
        ),
        Misconception(
            "only locals",
            {"pairs": 16, "student": 680, "teacher": 392},
            "You pair each global crop with the eight local ones. The student also sees the other "
            "global crop.",
        ),
        Misconception(
            "the two globals once",
            {"pairs": 17, "student": 680, "teacher": 392},
            "You count the pair of the two global crops once. It counts twice: each of them is "
            "once the teacher's and once the student's.",
        ),
        Misconception(
            "all pairs of views",
            {"pairs": 90, "student": 680, "teacher": 392},
            "10 · 9 are all ordered pairs of views; but the teacher answers for two of them only.",
        ),
        Misconception(
            "the teacher sees everything",
            {"pairs": 18, "student": 680, "teacher": 680},
            "The teacher sees the two global crops only: that makes it the one who knows more.",
        ),
        Misconception(
            "locals as large as globals",
            {"pairs": 18, "student": 1960, "teacher": 392},
            "A local crop of 96 pixels has 6 × 6 patches; that is why eight of them are cheap.",
        ),
    ),
    hints=(
        "224 / 16 = 14 patches lie side by side in a global crop, 96 / 16 = 6 in a local one.",
        "For each of the teacher's two views: how many *other* views has the student seen?",
    ),
)

# --- predict: two ways to collapse ----------------------------------------------------------------

COLLAPSE = Exercise(
    name="collapse",
    title="Two ways to collapse",
    kind="predict",
    difficulty=3,
    importance=5,
    minutes=5,
    prompt="""
K = 32 classes. Let a training run until it has collapsed for good: the teacher says the same to
every picture. The meter *variety* is the entropy of its mean answer, in nats: 0 if one class has
all, ln K if all have the same.

* `no_centring`: sharpening alone. Where does *variety* end?
* `no_sharpening`: centring alone, so strong that nothing else is left. Where does it end?

Two decimals are enough.
""",
    solution={"no_centring": 0.0, "no_sharpening": 3.47},
    atol=0.02,
    misconceptions=(
        Misconception(
            "the other way round",
            {"no_centring": 3.47, "no_sharpening": 0.0},
            "The other way round: sharpening makes each answer *more* certain, so by itself it "
            "ends with one class; centring makes all classes equal.",
        ),
        Misconception(
            "collapse is collapse",
            {"no_centring": 0.0, "no_sharpening": 0.0},
            "There are two collapses. Where nothing sharpens, the centre takes away every "
            "preference, and all 32 classes get the same.",
        ),
        Misconception(
            "both even",
            {"no_centring": 3.47, "no_sharpening": 3.47},
            "Without centring nothing hinders one class from winning everywhere: entropy 0.",
        ),
        Misconception(
            "bits",
            {"no_centring": 0.0, "no_sharpening": 5.0},
            "5 is the entropy in bits, log₂ 32; nats take the natural logarithm.",
        ),
        Misconception(
            "the number of classes",
            {"no_centring": 0.0, "no_sharpening": 32.0},
            "32 is the number of classes in use, exp(variety); the entropy is its logarithm.",
        ),
        Misconception(
            "the number of the one class",
            {"no_centring": 1.0, "no_sharpening": 3.47},
            "1 is the number of classes in use, exp(variety); the entropy is its logarithm.",
        ),
        Misconception(
            "a part of the greatest",
            {"no_centring": 0.0, "no_sharpening": 1.0},
            "1 is the entropy as a part of the greatest one, ln K; nats are asked for.",
        ),
    ),
    hints=(
        "Entropy of (1, 0, 0, …)? Entropy of (1/K, 1/K, …)?",
        "−Σ p ln p with p = 1/32, thirty-two times.",
    ),
)

EXERCISES = (
    TEACHER_SAYS,
    PAIR_LOSS,
    MULTI_CROP,
    DINO_STEP,
    TEST_FOLLOW,
    COLLAPSE,
    WITHOUT_LOCALS,
)

QUIZ = (
    Question(
        prompt="Nothing in DINO's loss pushes different pictures apart. What hinders collapse?",
        choices=(
            "The negatives in the batch",
            "Centring and sharpening together",
            "The cross-entropy, which is smallest where all classes are used",
        ),
        correct=1,
        why=(
            "That is SimCLR; DINO has no negatives.",
            "Each alone ends in a collapse, the other one's; together they hold the balance.",
            "It is smallest where teacher and student agree and are certain, as in one class.",
        ),
    ),
    Question(
        prompt="Why does only the student see small crops?",
        choices=(
            "The teacher would be too slow",
            "So that it must say from a part what the teacher sees in the whole",
            "Small crops have too few patches for a teacher",
        ),
        correct=1,
        why=(
            "It would also cost more, but that is not the reason.",
            "From local to global: that cannot be done by texture at one place alone.",
            "The same network reads any number of patches.",
        ),
    ),
    Question(
        prompt=(
            "The two meters are entropies: *doubt* of each single answer (**0**: it takes a "
            "stand, ln K: it says nothing), *variety* of the mean answer. Both are 3.4 nats, and "
            "ln K = 3.5. What has happened?"
        ),
        choices=(
            "All classes are used: very good",
            "Each single answer is as flat as their mean: the teacher says nothing",
            "The teacher always names one class",
        ),
        correct=1,
        why=(
            "Classes are used *evenly by each picture*, which tells no picture from another.",
            "What an answer tells about the picture is variety − doubt: here 0.",
            "Then both would be 0.",
        ),
    ),
    Question(
        prompt="An attention map lies on the objects. What must stand beside it?",
        choices=(
            "Nothing: one sees it",
            "Maps that learned nothing: random weights, the centre, contrast of colour",
            "The loss of the training",
        ),
        correct=1,
        why=(
            "One sees what one hopes for, and one looks at the good ones.",
            "If contrast of colour finds the objects as well, the map proves little.",
            "A low loss may be a collapse.",
        ),
    ),
    Question(
        prompt="From lesson 06: a probe reads the colour at 0.99. Does that speak for a method?",
        choices=(
            "Yes",
            "Only beside what random weights reach",
            "No: probes are always too good",
        ),
        correct=1,
        why=(
            "Untrained networks read much of a colour too.",
            "A number means what it is above random weights, chance and shuffled labels.",
            "On pictures that they have not seen they are honest.",
        ),
    ),
)
