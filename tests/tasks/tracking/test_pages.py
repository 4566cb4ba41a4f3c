"""MLflow's own pages of what was tracked, in a real browser."""

import pytest

from polyspace.engine.loop import Step
from polyspace.train.train_fusion import FusionConfig
from tasks import addresses, names, tracking
from tasks.tracking import ALONE
from tests.support import browser, mlflow_pages
from tests.support.stages import follow

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("mlflow pages")]
DATASET = "browsed"


@pytest.fixture
def page(tmp_path):
    if browser.CHROMIUM is None:
        pytest.skip(browser.MISSING)
    with browser.chromium(tmp_path / "profile") as found:
        found.size(1500, 1000)
        yield found


def train(rate, tmp_path):
    """Track a training; give the name of its run."""
    config = FusionConfig(
        dataset=DATASET,
        root=tmp_path,
        student="transnetv2",
        teachers=("motion_vectors", "efficientnet_lite0"),
        converters=tmp_path / "converters.pt",
        classes=10,
        lr=rate,
    )

    def steps():
        for epoch in range(4):
            losses = {"loss": 2.0 - epoch / 3} if epoch else {}
            yield Step(epoch, epoch, 3, losses, rate, False, {"top1": epoch / 4})

    title = names.of("train_fusion", config)
    with tracking.run("train_fusion", config, DATASET, ALONE, title=title) as record:
        follow(tracking.follow(record, steps()))
        record.metrics({"hold_out/best_top1": 0.75})
    return title


def test_an_experiment_opens_with_our_columns_and_two_runs_are_compared(
    proxy, server, page, tmp_path
):
    title = train(1e-3, tmp_path)
    assert train(3e-4, tmp_path) == title
    experiment = server.get_experiment_by_name(f"polyspace/{DATASET}")
    address = addresses.mlflow_experiment(experiment.experiment_id)
    assert address.startswith(f"http://127.0.0.1:{proxy.port}/"), address
    mlflow_pages.open_runs(page, address, 2, "viewing a shared view")

    page.wait("document.querySelector('[data-testid=saved-views-trigger]').innerText")
    assert "PolySpace" in page.run(
        "document.querySelector('[data-testid=saved-views-trigger]').innerText"
    )
    assert mlflow_pages.columns(page)[:4] == [
        "Run Name",
        "Created",
        "polyspace.stage",
        "hold_out/best_top1",
    ]

    mlflow_pages.compare(page, title)
    text = page.run("document.body.innerText")
    assert title in text
    # What differs is chosen by itself, and beside it the first figure that was told.
    plot = page.run("[...document.querySelectorAll('.js-plotly-plot')].map(e => e.textContent)[0]")
    assert "lr" in plot
    assert "hold_out/top1" in plot
