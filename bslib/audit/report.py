"""An audit: what a table holds, what was found, and what follows for the claims."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bslib.audit import bearing, facts, findings, table, text
from bslib.audit.bearing import Bearing
from bslib.audit.facts import Facts
from bslib.audit.findings import Finding
from bslib.audit.ways import Way
from bslib.refusal import Refusal
from bslib.stats.estimate import Estimate


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found out about a table.

    Attributes:
        source: name of its file.
        facts: what was measured on it.
        findings: what is wrong with it, or worth knowing, severest first.
        bearings: of every claim, whether the table bears on it.
    """

    source: str
    facts: Facts
    findings: tuple[Finding, ...]
    bearings: tuple[Bearing, ...]

    def __str__(self) -> str:
        return text.render(self.source, self.facts, self.findings, self.bearings)

    def to_json(self) -> dict[str, Any]:
        """Return all of it as plain values; what is not finite is None."""
        read, found = self.facts.table, self.facts
        target = found.to_target
        return {
            "source": self.source,
            "columns": dict(read.columns.found),
            "unread": list(read.columns.unread),
            "metric": asdict(read.metric),
            "runs": len(read.runs),
            "batch_sizes": read.batch_sizes,
            "budgets": found.budgets.kinds,
            "findings": [asdict(each) for each in self.findings],
            "ways": [_way(each, read.unit) for each in found.ways.values()],
            "exponent_of_the_best_rate": {
                kind: _estimate(each) for kind, each in found.exponents.items()
            },
            "critical_batch_size": _estimate(target.critical_batch_size) if target else None,
            "claims": [asdict(each) for each in self.bearings],
        }

    def dumps(self) -> str:
        """Return :meth:`to_json` as text."""
        return json.dumps(self.to_json(), indent=1, ensure_ascii=False, allow_nan=False)


def audit(
    path: Path,
    *,
    metric: str | None = None,
    maximise: bool | None = None,
    where: Sequence[tuple[str, str]] = (),
) -> Audit:
    """Audit a table of trainings: one row a training, in a CSV file.

    Args:
        path: of the file.
        metric: column to compare batch sizes by; by default the first known one, validation
            accuracy before loss, validation before test and training.
        maximise: whether more of it is better, where its name does not tell.
        where: (column, value) pairs; only rows that have them are read.

    Raises:
        Refusal: see :func:`bslib.audit.table.read`; nothing was analysed.
    """
    if not isinstance(path, str | Path):
        kind = type(path).__name__
        raise Refusal(f"audit takes the path of a CSV file, not a {kind}: write it to one first")
    read = table.read(Path(path), metric=metric, maximise=maximise, where=where)
    measured = facts.measure(read)
    return Audit(
        Path(path).name, measured, tuple(findings.find(measured)), tuple(bearing.bear(measured))
    )


def _way(way: Way, unit: str) -> dict[str, Any]:
    return {
        "name": way.name,
        "reason": way.reason,
        "best": way.best,
        "may_be_best": list(way.contenders),
        "at_an_edge": list(way.edges),
        "left_out": {str(size): why for size, why in (way.left_out or {}).items()},
        "seeds": way.seeds,
        "paired": way.paired,
        "seeds_for_one_winner": way.needed,
        "best_less_worst": None if math.isnan(way.spread) else way.spread,
        "unit": unit,
        "learning_rates": {str(size): rate for size, rate in (way.rates or {}).items()},
        "means": {} if way.scores is None else {
            str(size): float(mean) for size, mean in way.scores.mean().items()
        },
    }  # fmt: skip


def _estimate(estimate: Estimate) -> dict[str, Any]:
    ends = {"value": estimate.value, "low": estimate.low, "high": estimate.high}
    return {
        **{name: each if each is not None and math.isfinite(each) else None
           for name, each in ends.items()},
        "level": estimate.level,
        "reason": estimate.reason,
    }  # fmt: skip
