"""What the documents say is so."""

import re
from pathlib import Path

import pytest

from tests.architecture.readme_tree import README, ROOT, split, tree

DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/**/*.md", ".github/**/*.md") for path in ROOT.glob(pattern)
)


def test_the_readme_shows_the_tree_as_it_is():
    assert split(README.read_text())[1] == tree(), "run python tests/architecture/readme_tree.py"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(document: Path):
    for target in re.findall(r"\]\(([^)#:]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_dependency_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("[project]") : text.index("[project.scripts]")]
    before = ""
    for line in block.splitlines():
        if re.match(r'\s+"[a-z]', line) and "requires" not in line:
            assert "#" in line or before.strip().startswith("#"), line
        before = line
