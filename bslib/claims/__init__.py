"""The claims, and the judging of them."""

from collections.abc import Mapping
from typing import Any

from bslib.claims.catalogue import CLAIMS
from bslib.claims.claim import Arm, Claim
from bslib.claims.outcome import LEVEL, OUTCOMES, SIMULTANEOUS_LEVEL, ArmVerdict
from bslib.claims.setting import scope
from bslib.claims.verdict import MIME, Verdict, judge_claim
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate

CATALOGUE: dict[str, Claim] = {each.key: each for each in CLAIMS}

__all__ = [
    "CATALOGUE",
    "LEVEL",
    "MIME",
    "OUTCOMES",
    "SIMULTANEOUS_LEVEL",
    "Arm",
    "ArmVerdict",
    "Claim",
    "Verdict",
    "claim",
    "judge",
    "judge_claim",
    "scope",
]


def claim(key: str) -> Claim:
    """Return the claim with this key.

    Raises:
        Refusal: there is none; names the keys that there are.
    """
    if key not in CATALOGUE:
        raise Refusal(f"there is no claim {key!r}; the claims are {', '.join(CATALOGUE)}")
    return CATALOGUE[key]


def judge(
    key: str, estimates: Mapping[str, Estimate], scope: Mapping[str, Any] | None = None
) -> Verdict:
    """Judge the claim with this key; see :func:`judge_claim` for the rules.

    Raises:
        ValueError: no such claim, an arm without an estimate, or an estimate without an arm.
    """
    return judge_claim(claim(key), estimates, scope)
