"""The catalogue of claims as text and as data, with the verdicts of one run or of two."""

from collections.abc import Mapping, Sequence
from typing import Any

from bslib import claims

Verdicts = Mapping[str, claims.Verdict]


def rows(runs: Sequence[Verdicts]) -> list[dict[str, Any]]:
    """Return a row a claim, for JSON: the claim, and each run's verdict or None."""
    return [
        {
            "key": claim.key,
            "section": claim.section,
            "title": claim.title,
            "statement": claim.statement,
            "arms": [arm.name for arm in claim.arms],
            "criterion": claim.criterion,
            "prediction": claim.prediction,
            "source": claim.source,
            "verdicts": [_json(verdicts.get(claim.key)) for verdicts in runs],
        }
        for claim in claims.CATALOGUE.values()
    ]


def text(runs: Sequence[Verdicts]) -> str:
    """Return a line a claim; with two runs, which verdicts differ at the end of theirs."""
    lines = []
    for claim in claims.CATALOGUE.values():
        outcomes = [_outcome(verdicts.get(claim.key)) for verdicts in runs]
        differs = "   <- differs" if len(set(outcomes)) > 1 else ""
        columns = "".join(f"{each:14}" for each in outcomes)
        lines.append(f"{claim.key}  {columns}{claim.title}{differs}")
    return "\n".join(lines)


def _json(verdict: claims.Verdict | None) -> Any:
    return None if verdict is None else verdict.to_json()


def _outcome(verdict: claims.Verdict | None) -> str:
    return "not run" if verdict is None else str(verdict.outcome)
