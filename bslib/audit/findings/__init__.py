"""What is wrong with a table of trainings, or worth knowing: worst first."""

from bslib.audit.facts import Facts
from bslib.audit.findings import lengths, rates, results, seeds
from bslib.audit.findings.finding import BLOCKS, NOTE, SEVERITIES, WEAKENS, Finding

__all__ = ["BLOCKS", "NOTE", "SEVERITIES", "WEAKENS", "Finding", "find"]


def find(facts: Facts) -> list[Finding]:
    """Return all findings, the severest first; none for a table without fault."""
    found = [
        *lengths.find(facts),
        *rates.find(facts),
        *seeds.find(facts),
        *results.find(facts),
    ]
    return sorted(found, key=lambda each: SEVERITIES.index(each.severity))
