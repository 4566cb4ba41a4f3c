"""A flow's parameters as Prefect draws them: in order, and closed to names that nobody knows."""

from collections.abc import Mapping
from typing import Any

from prefect import Flow
from prefect.utilities.callables import parameter_schema

Schema = dict[str, Any]
"""JSON schema, draft 2020-12."""


def schema(flow: Flow[..., Any]) -> Schema:
    """Describe what a flow takes.

    Prefect's own description is drawn in whatever order the database gives fields back
    (PostgreSQL sorts them by length), and lets unknown names through: such a run is created, and
    crashes when it starts. Here every field has its place, and the server refuses the run.
    """
    drawn = parameter_schema(flow).model_dump_for_openapi()
    nested = drawn.get("definitions", {})
    for name, form in nested.items():
        # What is written on the tabs, where one of several may be chosen.
        form["title"] = name.removesuffix("Config")
    for form in (drawn, *nested.values()):
        if "properties" in form:
            _close(form)
            _arrange(form)
    return drawn


def _close(form: Schema) -> None:
    form["additionalProperties"] = False


def _arrange(form: Schema) -> None:
    """Number the fields, those without a default first, and fold their help into one line each."""
    fields: Mapping[str, Schema] = form["properties"]
    required = set(form.get("required", ()))
    for position, name in enumerate(sorted(fields, key=lambda name: name not in required)):
        fields[name]["position"] = position
        if "description" in fields[name]:
            fields[name]["description"] = " ".join(fields[name]["description"].split())
