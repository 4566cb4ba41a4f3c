"""The README's captioned tree, drawn from the first line of every module's docstring.

``python tests/architecture/readme_tree.py`` writes it into the README; a test compares.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
START, END = "<!-- tree -->\n```text\n", "```\n<!-- /tree -->"
WIDTH = 34


def tree() -> str:
    """Draw packages and modules with their captions."""
    return "".join(f"{line}\n" for top in ("polyspace", "tasks", "flows") for line in _lines(top))


def split(text: str) -> tuple[str, str, str]:
    """Part the README before, within and after the tree."""
    before, rest = text.split(START)
    inside, after = rest.split(END)
    return before + START, inside, END + after


def _lines(top: str) -> list[str]:
    paths = sorted((ROOT / top).rglob("*.py"), key=_order)
    return [line for path in paths for line in _line(path)]


def _order(path: Path) -> tuple[tuple[str, ...], bool, str]:
    """Put a folder's own caption first, then its files, then its folders."""
    return path.parent.parts, path.name != "__init__.py", path.name


def _line(path: Path) -> list[str]:
    relative = path.relative_to(ROOT)
    package = path.name == "__init__.py"
    name = f"{relative.parent}/" if package else path.name
    indent = "" if package else "  "
    return [f"{indent}{name:{WIDTH - len(indent)}} {_caption(path)}"]


def _caption(path: Path) -> str:
    said = ast.get_docstring(ast.parse(path.read_text()))
    assert said, f"{path} has no docstring"
    return said.splitlines()[0].split(":  ")[0].replace("``", "").replace("`", "").rstrip(".")


if __name__ == "__main__":
    before, _, after = split(README.read_text())
    README.write_text(before + tree() + after)
