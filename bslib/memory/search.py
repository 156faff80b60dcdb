"""The largest size that passes a monotone test, in few trials: a pure function of the test."""

import math
from collections.abc import Callable


def largest(
    fits: Callable[[int], bool],
    *,
    most: int,
    guess: int | None = None,
    tolerance: float = 0.0,
    refine: Callable[[int], int | None] = lambda size: None,
) -> int:
    """Return the largest tried size from 1 to ``most`` that fits; 0 where none does.

    ``fits`` is monotone: what fits at a size fits at every smaller one. Each size is tried at
    most once, and what is returned was tried. The guess is tried first, then a size on the
    other side of the boundary: with a right guess its neighbour, and that is all, two trials
    (one where ``most`` itself fits). Then the sizes left are halved: at most
    2 + ceil(log2 n) trials, n being what those two left between a fitting and a failing size.

    Args:
        guess: where the boundary is thought to be; None tries the middle first.
        tolerance: 0 for the very largest; 0.05 is content with a fitting size within 5 % of
            it. A guess that is right to that tolerance is then confirmed by two trials.
        refine: asked once, after the guess was tried, for a better guess; None if it has none.
            The second trial goes a quarter further than it, so as to lie beyond the boundary.

    Raises:
        ValueError: ``most`` below 1, or a tolerance outside [0, 1).
    """
    if most < 1 or not 0 <= tolerance < 1:
        raise ValueError(
            f"most must be at least 1 and tolerance in [0, 1), not {most}, {tolerance}"
        )
    passed, failed, tried = 0, most + 1, 0
    size = (most + 1) // 2 if guess is None else min(max(guess, 1), most)
    while True:
        if fits(size):
            passed = size
        else:
            failed = size
        tried += 1
        if _settled(passed, failed, tolerance):
            return passed
        second = tried == 1 and guess is not None
        size = (
            _beyond(passed, failed, tolerance, refine(size)) if second else _middle(passed, failed)
        )


def _beyond(passed: int, failed: int, tolerance: float, refined: int | None) -> int:
    """Return the second size to try: just beyond where the boundary is, if the guess was right."""
    if passed:
        ahead = math.floor(passed / (1 - tolerance)) + 1
        if refined is not None and refined > passed:
            ahead = max(ahead, passed + math.floor(1.25 * (refined - passed)) + 1)
        return min(ahead, failed - 1)
    below = math.ceil((1 - tolerance) * (failed - 1))
    if refined is not None and refined < failed:
        below = min(below, failed - math.floor(1.25 * (failed - refined)))
    return max(below, 1)


def _middle(passed: int, failed: int) -> int:
    return (passed + failed) // 2


def _settled(passed: int, failed: int, tolerance: float) -> bool:
    """Say whether the largest size that fits, failed - 1 at most, is near enough to ``passed``."""
    return failed - passed <= 1 or (passed > 0 and passed >= (1 - tolerance) * (failed - 1))
