import re

import pytest

from polyspace.report.records.bundle import Bundle
from polyspace.report.records.exports import Exports
from polyspace.report.records.proof import Proof
from tests.support import exports as records


@pytest.fixture
def proof():
    """Give a proof with some of its entries changed."""
    return lambda kind="fp16", **changes: Proof.model_validate(records.proof(kind, **changes))


@pytest.fixture
def bundle():
    """Give a bundle's record with some of its entries changed."""
    return lambda kind="fp16", **changes: Bundle.model_validate(records.bundle(kind, **changes))


@pytest.fixture
def exports():
    """Give the record of some formats."""
    return lambda *kinds, **changes: Exports.model_validate(records.exports(*kinds, **changes))


@pytest.fixture
def cells():
    """Give the texts of a page's tables, row by row, without what keeps lines together."""

    def read(markup):
        rows = re.findall(r"<tr.*?</tr>", markup)
        plain = [
            [re.sub("<.*?>", "", c) for c in re.findall(r"<t[dh].*?</t[dh]>", r)] for r in rows
        ]
        return [[text.replace("\N{NO-BREAK SPACE}", " ") for text in row] for row in plain]

    return read
