"""Curves: what is asked for is what is plotted, and labels can be read."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.show import curves as module
from course_lib.show.curves import _apart, curves, panels

X = [0, 30, 60]


@pytest.fixture
def figures(monkeypatch):
    """The matplotlib figures behind the pictures."""
    made = []
    real = module.figure
    monkeypatch.setattr(module, "figure", lambda fig, alt: made.append(fig) or real(fig, alt=alt))
    return made


def test_each_curve_and_chance_are_plotted_and_named(figures):
    lines = {"SIFT": [1, 0.8, 0.5], "BRIEF": [0.9, 0.2, 0.1]}
    shown = curves(X, lines, xlabel="degrees", ylabel="share", chance=0.05, alt="Two curves.")
    (ax,) = figures[0].axes
    plotted = {line.get_label(): line.get_ydata().tolist() for line in ax.get_lines()}
    assert plotted == {**lines, "chance": [0.05] * 3}
    assert {text.get_text() for text in ax.texts} == {"SIFT", "BRIEF", "chance"}
    looks = {(ln.get_color(), ln.get_marker(), ln.get_linestyle()) for ln in ax.get_lines()}
    assert len(looks) == 3
    assert shown.mime == "image/png"
    assert shown.alt == "Two curves."


def test_a_name_keeps_its_look_in_every_panel_and_is_explained_once(figures):
    measured = {
        "turn": (X, {"SIFT": [1, 1, 1], "BRIEF": [1, 0, 0]}),
        "blur": ([1, 2], {"BRIEF": [1, 0]}),
        "noise": ([1, 2], {"SIFT": [1, 0]}),
        "light": ([1, 2], {"SIFT": [1, 0]}),
        "zoom": ([1, 2], {"SIFT": [1, 0]}),
    }
    panels(measured, ylabel="share", chance={"turn": 0.1}, alt="Five panels.")
    axes = {ax.get_title(): ax for ax in figures[0].axes if ax.get_title()}
    assert list(axes) == list(measured)
    look = {
        (title, line.get_label()): line.get_color()
        for title, ax in axes.items()
        for line in ax.get_lines()
    }
    assert look["turn", "BRIEF"] == look["blur", "BRIEF"] != look["noise", "SIFT"]
    legends = [ax.get_legend() for ax in figures[0].axes if ax.get_legend()] + figures[0].legends
    assert [t.get_text() for t in legends[0].get_texts()] == ["SIFT", "BRIEF", "chance"]


def test_missing_values_leave_a_gap():
    nans = [np.nan] * 3
    curves(X, {"a": [1, np.nan, 0], "b": nans}, xlabel="x", ylabel="y", alt="A gap.")


@pytest.mark.parametrize(("x", "y"), [(X, [1, 2]), ([], []), ([[1]], [[1]])])
def test_lengths_that_differ_are_named(x, y):
    with pytest.raises(ValueError, match="shape"):
        curves(x, {"SIFT": y}, xlabel="", ylabel="", alt="Nothing.")


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_labels_are_pushed_apart_in_their_order(heights):
    heights = np.array(heights)
    placed = _apart(heights, 0.05)
    order = np.argsort(heights, kind="stable")
    assert (np.diff(placed[order]) >= 0.04).all()
