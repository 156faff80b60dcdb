"""The search for the largest size that fits, as a function of a monotone test."""

import math
import random

import pytest

from bslib.memory.search import largest


def run(limit: int, **settings: object) -> tuple[int, list[int]]:
    """Search where sizes up to ``limit`` fit; return what was found and what was tried."""
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= limit

    return largest(fits, **settings), tried  # type: ignore[arg-type]


def cases() -> list[tuple[int, int | None, int]]:
    """Give a thousand limits, guesses and largest sizes allowed."""
    draw = random.Random(0)
    found = []
    for _ in range(1_000):
        most = draw.randint(1, 10 ** draw.randint(0, 6))
        limit = draw.choice([0, most, draw.randint(0, most), draw.randint(0, 2 * most)])
        near = round(limit * draw.uniform(0.8, 1.2))
        found.append((limit, draw.choice([None, limit, near, draw.randint(-5, 2 * most)]), most))
    return found


def test_exact_on_a_thousand_monotone_tests() -> None:
    """The very largest size is found, was tried, and took no more trials than halving does."""
    for limit, guess, most in cases():
        found, tried = run(limit, guess=guess, most=most)
        assert found == min(limit, most)
        assert found in tried or found == 0
        assert len(set(tried)) == len(tried)
        assert all(1 <= size <= most for size in tried)
        assert len(tried) <= 2 + math.ceil(math.log2(most + 1))


def test_trials_after_the_guess_halve_what_is_left() -> None:
    """With two trials spent, the rest is at most log2 of the sizes between pass and fail."""
    for limit, guess, most in cases():
        _, tried = run(limit, guess=guess, most=most)
        passed = max([size for size in tried[:2] if size <= limit], default=0)
        failed = min([size for size in tried[:2] if size > limit], default=most + 1)
        assert len(tried) <= 2 + math.ceil(math.log2(failed - passed))


def test_a_right_guess_takes_two_trials() -> None:
    """The size and its successor; one alone where no larger one is allowed."""
    assert run(5_000, guess=5_000, most=10**6) == (5_000, [5_000, 5_001])
    assert run(5_000, guess=5_000, most=5_000) == (5_000, [5_000])
    assert run(5_000, guess=9_999, most=3_000) == (3_000, [3_000])
    assert run(0, guess=0, most=50) == (0, [1])


def test_nothing_is_returned_where_nothing_fits() -> None:
    """Zero, and a batch of one was tried."""
    for guess in (None, 1, 7, 500):
        found, tried = run(0, guess=guess, most=100)
        assert found == 0
        assert 1 in tried


def test_tolerance_is_kept() -> None:
    """On a thousand tests: a tried size, within 5 % of the largest, in no more trials."""
    for limit, guess, most in cases():
        found, tried = run(limit, guess=guess, most=most, tolerance=0.05)
        assert 0.95 * min(limit, most) <= found <= min(limit, most)
        assert found in tried or found == 0
        assert len(tried) <= 2 + math.ceil(math.log2(most + 1))


def test_a_guess_within_tolerance_takes_two_trials() -> None:
    """Any guess that is within 5 % of the largest size is confirmed by two trials at most."""
    draw = random.Random(1)
    for _ in range(1_000):
        limit = draw.randint(1, 10**6)
        guess = draw.randint(math.ceil(0.95 * limit), math.floor(1.05 * limit))
        found, tried = run(limit, guess=guess, most=2 * 10**6, tolerance=0.05)
        assert len(tried) <= 2
        assert 0.95 * limit <= found <= limit


def test_a_better_guess_is_used_and_not_trusted() -> None:
    """Where the guess is 1 % off, what refines it saves most trials; a wild one costs none."""
    found, tried = run(258, guess=261, most=1_200, refine=lambda size: 258)
    assert found == 258
    assert len(tried) <= 4
    found, tried = run(1_000, guess=900, most=10**6, refine=lambda size: 1_000)
    assert found == 1_000
    assert len(tried) <= 2 + math.ceil(math.log2(127))
    draw = random.Random(2)
    for limit, guess, most in cases():
        wild = draw.randint(-10, 2 * most)
        found, tried = run(limit, guess=guess, most=most, refine=lambda size, wild=wild: wild)
        assert found == min(limit, most)
        assert len(tried) <= 2 + math.ceil(math.log2(most + 1))


@pytest.mark.parametrize("settings", [{"most": 0}, {"most": 5, "tolerance": 1.0}])
def test_senseless_bounds_are_refused(settings: dict[str, float]) -> None:
    """There must be a size to try, and a tolerance below one."""
    with pytest.raises(ValueError, match="most must be at least 1 and tolerance"):
        run(3, **settings)
