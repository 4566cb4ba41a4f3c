"""What the documents say is so."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from polyspace.store.reader import FeatureStore
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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_that_commands_name_exist(document: Path):
    for module in re.findall(r"python -m ((?:polyspace|flows)[\w.]*)", document.read_text()):
        assert find_spec(module), module


def test_the_readers_code_in_the_store_document_reads_a_store(feature_stores: Path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/store.md").read_text(), re.DOTALL)
    names: dict[str, object] = {}
    exec(code, names)
    path = next(feature_stores.glob("*_train.zarr"))
    store = FeatureStore.open(path)
    backbone = next(iter(store.backbones))
    rows, tokens = names["read"](path, backbone)  # pyright: ignore[reportCallIssue]
    assert rows == [store.ids[row] for row in store.rows([backbone])]
    assert (tokens == store.tokens(backbone, store.rows([backbone])).numpy()).all()


def test_every_dependency_has_its_reason():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("[project]") : text.index("[project.scripts]")]
    before = ""
    for line in block.splitlines():
        if re.match(r'\s+"[a-z]', line) and "requires" not in line:
            assert "#" in line or before.strip().startswith("#"), line
        before = line
