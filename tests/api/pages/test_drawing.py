"""Small charts: every point lies inside, every tick where its value is."""

from hypothesis import given
from hypothesis import strategies as st

from tuner.api.pages.drawing import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart

SHARES = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.none() | SHARES, max_size=60), st.booleans())
def test_every_point_lies_inside_the_chart(values, log_steps):
    drawn = chart("it", range(1, len(values) + 1), values, log_steps=log_steps)
    known = [value for value in values if value is not None]
    if len(known) < 2:
        assert drawn is None
        return
    points = [tuple(map(float, point.split(","))) for point in drawn.line.split()]
    assert len(points) == len(known)
    assert all(LEFT <= x <= WIDTH - RIGHT for x, _ in points)
    assert all(TOP <= y <= HEIGHT - BOTTOM for _, y in points)
    assert [x for x, _ in points] == sorted(x for x, _ in points)
    by_height = sorted(zip((-y for _, y in points), known, strict=True))
    assert [value for _, value in by_height] == sorted(known) or len({y for _, y in points}) < len(
        set(known)
    )
    assert 2 <= len(drawn.ys) <= 8
    assert all(TOP <= tick.place <= HEIGHT - BOTTOM for tick in drawn.ys)
    assert drawn.xs[0].place == points[0][0]
    assert drawn.xs[-1].place == points[-1][0]


def test_the_ticks_are_round_and_told_apart():
    drawn = chart("it", range(1, 21), [0.8 + 0.01 * step for step in range(20)])
    assert [tick.label for tick in drawn.ys] == ["80%", "85%", "90%", "95%", "100%"]
    assert [tick.label for tick in drawn.xs] == ["1", "5", "10", "15", "20"]
    drawn = chart("it", range(1, 5), [0.97, 0.971, 0.972, 0.973])
    labels = [tick.label for tick in drawn.ys]
    assert len(set(labels)) == len(labels)
    drawn = chart("it", [1, 10, 200], [0.1, 0.2, 0.3], log_steps=True)
    assert [tick.label for tick in drawn.xs] == ["1", "10", "100", "200"]


def test_a_band_leaves_out_what_has_no_bounds_and_stays_inside():
    drawn = chart("it", [1, 2, 3], [0.5, 0.6, 0.7], band=([None, 0.1, 0.65], [1.0, 0.9, None]))
    assert len(drawn.band.split()) == 2
    assert all(
        TOP <= float(point.split(",")[1]) <= HEIGHT - BOTTOM for point in drawn.band.split()
    )
