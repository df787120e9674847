"""The Pareto front: what no other beats in cost and quality at once."""

import math

from hypothesis import given, settings, strategies as st

from sgmse.scoring.pareto import pareto_front

PLACES = st.dictionaries(
    st.sampled_from("abcdefgh"),
    st.tuples(st.integers(1, 4).map(float), st.integers(0, 4).map(float)),
)


def dominates(p, q, sign):
    (x, y), (u, v) = p, q
    return x <= u and sign * y >= sign * v and p != q


@settings(max_examples=30)
@given(PLACES, st.booleans())
def test_no_point_of_the_front_is_dominated_and_every_other_is(places, higher):
    sign = 1 if higher else -1
    front = pareto_front(places, higher)
    assert len(set(front)) == len(front)
    for name, place in places.items():
        beaten = any(dominates(other, place, sign) for other in places.values())
        assert beaten != (name in front)
        if beaten:  # by one of the front, even
            assert any(dominates(places[f], place, sign) for f in front)
    costs = [places[name][0] for name in front]
    assert costs == sorted(costs)


def test_what_is_not_known_is_on_no_front():
    places = {"a": (math.nan, 9.0), "b": (1.0, math.nan), "c": (2.0, 1.0)}
    assert pareto_front(places) == ["c"]
