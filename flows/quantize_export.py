"""Checkpoints to a bundle with proof: ``python -m flows.quantize_export --help``."""

from pathlib import Path

from prefect import flow

from polyspace import console
from polyspace.export.bundle import ExportConfig
from tasks import bundles


@flow(name="quantize_export", flow_run_name="quantize_export {config.dtype}")
def quantize_export(config: ExportConfig) -> Path:
    """Export in a smaller type and prove that it agrees; return the bundle's folder.

    Args:
        config: Which checkpoints, which type, and how far it may differ.
    """
    return bundles.export(config)


def main(config: ExportConfig) -> None:
    """Run the flow and say where its result is."""
    console.say(str(quantize_export(config)))


if __name__ == "__main__":
    console.run(ExportConfig, main)
