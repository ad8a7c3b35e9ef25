"""training: what is drawn is what was measured, rarely enough, and the last picture is saved."""

from __future__ import annotations

import hashlib
import json
import textwrap
from base64 import b64decode

import cv2
import nbformat
import numpy as np
import pytest

from course_lib import lessons
from course_lib.show import training as module
from course_lib.show.training import live_loss, smoothed


class Measured(dict):
    """What `fit` hands to a watcher, as far as it is read here: it grows, it may be cut short."""

    interrupted, seconds = False, 2.0

    def __init__(self, **start):
        super().__init__({name: np.array(values) for name, values in start.items()})


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass only when a test says so."""
    now = [100.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    return now


def told(curve, step, history):
    scalars = {name: values[-1] for name, values in history.items()}
    curve(step, {**scalars, "images_per_second": 1234.5}, history)


def test_the_smoothed_curve_is_the_weighted_mean_of_what_came_before():
    values = np.random.default_rng(0).normal(size=40)
    for t in (0, 1, 7, 39):
        weights = np.array([np.exp(-(t - k) / 6) for k in range(t + 1)])
        expected = (weights * values[: t + 1]).sum() / weights.sum()
        assert smoothed(values, 6)[t] == pytest.approx(expected)
    np.testing.assert_allclose(smoothed(np.full(9, 3.5), 4), 3.5)


def test_what_is_not_finite_is_a_gap_and_does_not_spread():
    whole = smoothed(np.array([1.0, np.nan, 1.0, np.inf, 1.0]), 3)
    np.testing.assert_array_equal(np.isnan(whole), [False, True, False, True, False])
    np.testing.assert_allclose(whole[[0, 2, 4]], 1.0)


def test_the_last_picture_holds_every_step_of_every_name(monkeypatch):
    drawn = []
    real = module.figure
    monkeypatch.setattr(module, "figure", lambda fig, alt: drawn.append(fig) or real(fig, alt=alt))
    loss, accuracy = np.linspace(2, 1, 30), np.linspace(0, 0.9, 30)
    curve = live_loss(30, names=["loss", "accuracy"], alt="Two curves.")
    told(curve, 29, Measured(loss=loss, accuracy=accuracy))
    (ax,) = drawn[0].axes
    raw, smooth, other, _ = ax.get_lines()
    np.testing.assert_array_equal(raw.get_xdata(), np.arange(1, 31))
    np.testing.assert_array_equal(raw.get_ydata(), loss)
    np.testing.assert_allclose(smooth.get_ydata(), smoothed(loss, 3))
    np.testing.assert_array_equal(other.get_ydata(), accuracy)
    assert raw.get_color() == smooth.get_color() != other.get_color()
    low, high = ax.get_ylim()
    assert low <= 0 <= accuracy.min() < loss.max() < high
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["loss", "accuracy"]
    assert curve.picture.alt == "Two curves."


def test_a_run_that_ends_early_gets_its_last_picture_too(clock):
    history, curve = Measured(loss=[3.0, 2.0]), live_loss(100, alt="Falling.")
    told(curve, 0, history)
    live = curve.picture
    history.interrupted = True
    told(curve, 1, history)  # at the same moment: too early for a live picture
    assert curve.picture.data != live.data
    assert module._ending(2, 100, 2.0) == "2 steps of 100: ended early · 2 s of training"
    assert module._ending(100, 100, 2.0) == "100 steps · 2 s of training"


def test_pictures_come_four_times_a_second_at_most(clock):
    curve, history, pictures = live_loss(500, alt="Falling."), Measured(loss=[2.0]), []
    for step in range(499):  # 20 ms a step
        clock[0] += 0.02
        told(curve, step, history)
        if not pictures or curve.picture is not pictures[-1]:
            pictures.append(curve.picture)
    assert 35 <= len(pictures) <= 41, "ten seconds"


def test_a_slow_machine_draws_more_rarely(clock, monkeypatch):
    curve, history, drawn = live_loss(5000, alt="Falling."), Measured(loss=[2.0]), []
    real = curve._axes.drawn

    def slow(curves, news):
        drawn.append(clock[0])
        clock[0] += 0.1  # what this picture costs
        return real(curves, news)

    monkeypatch.setattr(curve._axes, "drawn", slow)
    began = clock[0]
    for step in range(4000):
        clock[0] += 0.02
        told(curve, step, history)
    assert 1 < 0.1 * len(drawn) <= 0.02 * (clock[0] - began), "from the first picture on"


def test_the_live_picture_follows_the_curve_beyond_its_axes(clock):
    """Blue ink in each picture reaches from the first step to the newest one, at its height."""
    loss = np.concatenate([np.linspace(1, 9, 50), np.linspace(9, 1, 50)])
    curve = live_loss(101, alt="Up and down.")
    for done in (10, 50, 100):
        clock[0] += 60
        told(curve, done - 1, Measured(loss=loss[:done]))
        image = cv2.imdecode(np.frombuffer(curve.picture.data, np.uint8), cv2.IMREAD_COLOR)
        rows, columns = np.nonzero(image[..., 0] > image[..., 2].astype(int) + 40)
        ax = curve._axes.ax
        left, right = ax.transData.transform([(1, 1), (done, 1)])[:, 0]
        assert abs(columns.min() - left) <= 3
        assert abs(columns.max() - right) <= 3
        highest = len(image) - ax.transData.transform((1, loss[:done].max()))[1]
        assert abs(rows.min() - highest) <= 4
        ax.figure.canvas.draw()  # the axes without what moves
        axes = np.asarray(ax.figure.canvas.buffer_rgba())[..., 2::-1]
        numbers = np.s_[:, : int(ax.bbox.x0) - 8]
        np.testing.assert_array_equal(image[numbers], axes[numbers], "numbers of another scale")


def test_outside_a_notebook_nothing_is_shown(capsys):
    curve = live_loss(1, alt="One step.")
    assert curve._repr_mimebundle_() == {"text/plain": "[loss curve] One step."}
    told(curve, 0, Measured(loss=[1.0]))
    assert capsys.readouterr().out == ""
    assert curve._repr_mimebundle_()[0]["image/png"] == curve.picture.data


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 0, "alt": "x"}, "at least one step .* but 0"),
        ({"steps": 9, "alt": " "}, "alt must say"),
        ({"steps": 9, "alt": "x", "names": ()}, r"but 9 and \(\) were given"),
        ({"steps": 9, "alt": "x", "names": "loss"}, "list of at least one name"),
    ],
)
def test_wrong_requests_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        live_loss(**arguments)


def test_a_name_that_is_not_measured_is_named():
    with pytest.raises(ValueError, match="no accuracy to draw; there are: loss, images_per_second"):
        told(live_loss(9, names=["accuracy"], alt="x"), 0, Measured(loss=[1.0]))


TOY = """
import hashlib, time, torch
from course_lib.show.training import live_loss
from course_lib.train.fit import fit
from course_lib.train.minibatches import minibatches

def train_step(model, batch, progress):
    end = time.perf_counter() + {milliseconds} / 1000
    while time.perf_counter() < end:
        pass
    return {{"loss": model(batch).square().mean()}}

def train(steps, **watch):
    model, draw = torch.nn.Linear(3, 2), minibatches(torch.randn(64, 3), batch_size=8)
    return fit(model, draw, steps, train_step=train_step, **watch)
"""


def executed(*cells):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    lessons.execute(notebook)
    return [cell.outputs for cell in notebook.cells]


@pytest.mark.notebook
def test_the_saved_cell_holds_the_last_picture_and_the_same_text_each_time():
    train = 'curve = live_loss(60, alt="A toy.")\nhistory = train(60, watch=curve)'
    again = "history = train(60, watch=curve)"
    digest = "print(hashlib.sha256(curve.picture.data).hexdigest(), history)"
    _, shown, first, reshown, second = executed(
        TOY.format(milliseconds=10), train, digest, again, digest
    )
    pictures = []
    for outputs, text in ((shown, first), (reshown, second)):
        (output,) = outputs  # one picture, and nothing on stderr
        assert output.output_type == "display_data"
        assert output.data["text/plain"] == "[loss curve] A toy."
        pictures.append(b64decode(output.data["image/png"]))
        printed = text[0].text.split(maxsplit=1)
        assert hashlib.sha256(pictures[-1]).hexdigest() == printed[0], "not the last picture"
        assert printed[1].startswith("History(60 of 60 steps: loss, lr, ")
    image = cv2.imdecode(np.frombuffer(pictures[0], np.uint8), cv2.IMREAD_COLOR)
    assert image.shape[1] > 1000, "the last picture is the fine one"


@pytest.mark.timing
@pytest.mark.notebook
def test_a_live_curve_costs_less_than_three_percent_of_the_training(capsys):
    """Steps of 20 ms in a real kernel; what is paid per run once (the last picture) is apart."""
    measure = """
    import json
    paid = []
    class Timed:
        def __init__(self, curve): self.curve, self.spent = curve, 0.0
        def __call__(self, step, scalars, history):
            t = time.perf_counter(); self.curve(step, scalars, history)
            if step + 1 < 300: self.spent += time.perf_counter() - t
    for _ in range(2):
        timed = Timed(live_loss(300, alt="A toy."))
        history = train(300, watch=timed)
        paid.append(timed.spent / history.seconds)
    print(json.dumps(paid))
    """
    outputs = executed(TOY.format(milliseconds=20), textwrap.dedent(measure))[1]
    shares = json.loads(next(o.text for o in outputs if o.output_type == "stream"))
    with capsys.disabled():
        print(f"\nlive curve: {100 * min(shares):.1f} % of the training {shares}")
    assert min(shares) < 0.03  # the quieter of two, on a machine with other work
