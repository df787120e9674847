"""Many proofs in one test prove what a test of each does, and say which of them fails."""

import pytest
import torch
from conftest import in_turn, together


def groups(test):
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return mark.args[1]


def run(test, group: int = 0, **given) -> None:
    test(cases=groups(test)[group].values[0], **given)


@together(a=[1, 2], b=[3, 4])
def test_a_test_is_given_fixtures_and_cases(a, tmp_path, b):
    assert a < b
    assert tmp_path.is_dir()


def test_all_are_tried_and_those_that_fail_are_named():
    tried = []

    @together(a=[1, 2, 3], b=[4, 5])
    def proof(a, b):
        tried.append((a, b))
        assert a != 2
        if b == 5 and a == 3:
            pytest.fail("no")

    with pytest.raises(BaseExceptionGroup, match="3 of 6 cases fail") as caught:
        run(proof)
    assert tried == [(1, 4), (1, 5), (2, 4), (2, 5), (3, 4), (3, 5)]
    notes = [error.__notes__ for error in caught.value.exceptions]
    assert notes == [[f"with {{'a': {a}, 'b': {b}}}"] for a, b in [(2, 4), (2, 5), (3, 5)]]


def test_one_that_fails_is_what_is_raised():
    @together(a=[1, 2])
    def proof(a):
        assert a == 1, "it is two"

    with pytest.raises(AssertionError, match="it is two") as caught:
        run(proof)
    assert caught.value.__notes__ == ["with {'a': 2}"]


@pytest.mark.parametrize(("skipped", "left_out"), [((1,), False), ((1, 2), True)])
def test_skipped_where_all_are(skipped, left_out):
    @together(a=[1, 2])
    def proof(a):
        if a in skipped:
            pytest.skip("not this one")

    try:
        run(proof)
        assert not left_out
    except pytest.skip.Exception:
        assert left_out


def test_marked_values_are_a_test_of_their_own():
    @together(a=[1, pytest.param(2, marks=pytest.mark.slow), 3], b=[4, 5])
    def proof(a, b):
        assert (a == 2) == others

    assert [group.id for group in groups(proof)] == ["all", "others"]
    assert [mark.name for group in groups(proof) for mark in group.marks] == ["slow"]
    for others in (False, True):
        run(proof, int(others))


def test_each_has_the_draws_of_a_test_of_its_own():
    draws = []

    @together(a=[1, 2])
    def proof(a):
        draws.append(torch.randn(1))

    run(proof)
    assert torch.equal(*draws)


def test_in_turn():
    cases = in_turn([1, 2], ["a", "b", "c"], [0.1, 0.2])
    assert len(cases) == 12
    often = [case.values for case in cases if not case.marks]
    assert len({case[1:] for case in often}) == len(often) == 6
    assert {case[0] for case in often} == {1, 2}
    assert all(mark.name == "slow" for case in cases for mark in case.marks)
