"""One thing that was checked, and what came of it."""

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "error"]
"""error: extraction would fail, or write other features. warning: it may be slow, or partial."""


@dataclass(frozen=True)
class Check:
    """One line of the doctor."""

    name: str
    verdict: Verdict
    found: str
    remedy: str = ""
    """What to do; empty where all is well."""

    def __str__(self) -> str:
        """Say it in one line."""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.verdict:7}  {self.name}: {self.found}{remedy}"


def ok(name: str, found: str) -> Check:
    """All is well."""
    return Check(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Check:
    """Something that may be wanted."""
    return Check(name, "warning", found, remedy)


def error(name: str, found: str, remedy: str) -> Check:
    """Something that has to be mended first."""
    return Check(name, "error", found, remedy)
