"""What MLflow runs of a registered model: this file itself, and the bundle beside it.

MLflow copies it with the model (models from code), so nothing is pickled, and runs it wherever the
model is loaded or served. It therefore imports nothing of this project but polyspace.
"""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

import polyspace


class Served(PythonModel):
    """A bundle behind MLflow's interface; its every byte is verified when it is loaded."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the bundle."""
        self.predictor = polyspace.load(Path(context.artifacts["bundle"]))

    def predict(  # pyright: ignore[reportIncompatibleMethodOverride]  # theirs is said to give None
        self,
        context: PythonModelContext,
        model_input,  # noqa: ANN001  # pyright: ignore[reportMissingParameterType]  # a hint would be taken for a schema
        params: dict[str, Any] | None = None,
    ) -> pd.DataFrame:
        """Give the chances of the classes: a row a clip, a column a class.

        Args:
            context: MLflow's.
            model_input: Array, or dictionary of the one array that the signature names.
            params: None are known.
        """
        [values] = model_input.values() if isinstance(model_input, dict) else [model_input]
        chances = self.predictor(values).numpy()
        return pd.DataFrame(chances, columns=list(self.predictor.class_names))


set_model(Served())
