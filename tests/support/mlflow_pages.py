"""MLflow's pages, used as people use them."""

from collections.abc import Sequence

from tests.support.browser import Page

ROWS = "[...document.querySelectorAll('.ag-row[row-id]')]"
COMPARE = "[...document.querySelectorAll('button')].find(b => b.innerText.trim() === 'Compare')"


def open_runs(page: Page, address: str, count: int, words: str = "") -> None:
    """Open an experiment's runs, and wait until so many are listed.

    Args:
        page: Of a browser.
        address: Of the experiment, as `tasks.addresses.mlflow_experiment` gives it.
        count: Of runs that stand on their own.
        words: What the page says besides.
    """
    listed = f"new Set({ROWS}.map(r => r.getAttribute('row-id'))).size >= {count}"
    wanted = f"{listed} && document.body.innerText.includes({words!r})"
    page.open_until(address, wanted)
    # MLflow opens its assistant on somebody's first visit, some time or other, and all moves aside.
    page.run("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')")
    page.open("about:blank")
    page.open_until(address, wanted)


def columns(page: Page) -> Sequence[str]:
    """Give what is written above the columns, in their order on the page."""
    cells = "[...document.querySelectorAll('.ag-header-cell')]"
    return page.run(
        f"{cells}.map(c => [c.getBoundingClientRect().x, c.innerText.trim()])"
        ".filter(c => c[1]).sort((a, b) => a[0] - b[0]).map(c => c[1])"
    )


def compare(page: Page, name: str) -> None:
    """Tick all runs of a name in the list, press Compare, and wait for what comes.

    Args:
        page: Shows the runs of an experiment.
        name: Of the runs.
    """
    named = f"{ROWS}.filter(r => r.innerText.includes({name!r}))"
    ids = page.run(f"[...new Set({named}.map(r => r.getAttribute('row-id')))]")
    assert len(ids) > 1, ids
    for run_id in ids:
        box = f"document.querySelector('.ag-row[row-id=\"{run_id}\"] .ag-checkbox-input')"
        page.click_until(box, f"{box}.checked")
    page.click_until(COMPARE, f"document.body.innerText.includes('Comparing {len(ids)} Runs')")
    page.wait("document.querySelectorAll('.js-plotly-plot svg').length > 0")
