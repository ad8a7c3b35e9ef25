"""The solids' own numbers against points thrown at them."""

import numpy as np
import pytest

from course_lib.world import solids
from course_lib.world.solids import SHAPES

RNG = np.random.default_rng(0)
CLOUD = RNG.uniform(-1.4, 1.4, (400_000, 3))
VOLUME = {
    "sphere": 4 / 3 * np.pi,
    "cube": 1.6**3,
    "cylinder": np.pi * 0.72**2 * 1.7,
    "cone": np.pi * 0.95**2 * 1.9 / 3,
    "torus": 2 * np.pi**2 * 0.68 * 0.32**2,
}


def surface(shape: int) -> np.ndarray:
    """Points just inside the surface: from inner points outwards by bisection."""
    inner = CLOUD[solids.inside(shape, CLOUD)][:4000]
    way = RNG.normal(size=inner.shape)
    low, high = np.zeros((len(inner), 1)), np.full((len(inner), 1), 4.0)
    for _ in range(40):
        middle = (low + high) / 2
        within = solids.inside(shape, inner + middle * way)[:, None]
        low, high = np.where(within, middle, low), np.where(within, high, middle)
    return inner + low * way


@pytest.mark.parametrize("shape", range(5), ids=SHAPES)
def test_volumes(shape: int) -> None:
    share = solids.inside(shape, CLOUD).mean()
    assert share * 2.8**3 == pytest.approx(VOLUME[SHAPES[shape]], rel=0.02)


@pytest.mark.parametrize("shape", range(5), ids=SHAPES)
def test_support_is_the_furthest_point(shape: int) -> None:
    points = surface(shape)
    for direction in RNG.normal(size=(50, 3)):
        reach = float(solids.support(np.array(shape), direction))
        found = (points @ direction).max()
        assert found <= reach + 1e-9
        assert found > reach - 0.12 * np.linalg.norm(direction)  # an apex is rarely hit


@pytest.mark.parametrize("shape", range(5), ids=SHAPES)
@pytest.mark.parametrize("lying", [False, True])
def test_a_resting_solid_touches_the_table_and_keeps_to_its_footprint(shape, lying) -> None:
    points = surface(shape)
    for yaw, roll in RNG.uniform(0, 2 * np.pi, (8, 2)):
        R = solids.pose(np.array(shape), np.array(yaw), np.array(lying), np.array(roll))
        world = points @ R.T + [0, 0, float(solids.rest(np.array(shape), R))]
        assert -1e-9 <= world[:, 2].min() < 0.05
        assert np.hypot(*world[:, :2].T).max() <= solids.FOOTPRINT[shape] + 1e-9
        np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(R) == pytest.approx(1)


def test_a_lying_cone_rests_on_its_side() -> None:
    R = solids.pose(np.array(solids.CONE), np.array(0.3), np.array(True), np.array(1.0))
    rest = float(solids.rest(np.array(solids.CONE), R))
    apex = R @ [0, 0, solids.CONE_HALF]
    assert apex[2] + rest == pytest.approx(0, abs=1e-12)
    # The whole line from the apex to the base's lowest point lies on the table.
    angle = np.linspace(0, 2 * np.pi, 10_000)
    rim = np.stack([np.cos(angle) * 0.95, np.sin(angle) * 0.95, 0 * angle - 0.95], -1) @ R.T
    assert rim[:, 2].min() + rest == pytest.approx(0, abs=1e-6)


def test_an_unknown_shape() -> None:
    with pytest.raises(ValueError, match="there are the shapes 0 to 4"):
        solids.inside(5, np.zeros(3))
