"""Checkpoints to bundles with proof: ``python -m flows.quantize_export --help``."""

from pathlib import Path

from prefect import flow

from flows import temporary
from polyspace import console
from polyspace.export import outcome
from polyspace.export.bundle import ExportConfig
from tasks import bundles, names


@flow(name="quantize_export", flow_run_name=names.of_flow("quantize_export"))
def quantize_export(config: ExportConfig) -> Path:
    """Export in smaller forms and prove that they agree; return the folder of the bundles.

    Args:
        config: Which checkpoints, which formats, and how far they may differ.
    """
    return bundles.export_all(config)


def main(config: ExportConfig) -> None:
    """Run the flow and show what came out."""
    temporary.server()
    outcome.show(quantize_export(config))


if __name__ == "__main__":
    console.run(ExportConfig, main)
