"""The base of every configuration: one class is command line, form, preset and record."""

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """A frozen set of settings that refuses names it doesn't know.

    The string under a field is its help: on the command line, in the Prefect form and in the JSON
    schema alike. Fields keep the order in which they are written.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        validate_default=True,
    )
