"""What somebody's own sweep over batch sizes can support, and what it cannot."""

from bslib.audit.report import Audit, audit

__all__ = ["Audit", "audit"]
