"""Artefacts of a flow run: none without one, and never the end of a stage."""

import logging

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.actions import ArtifactCreate

from tasks import artefacts

MAKERS = ("create_table_artifact", "create_markdown_artifact", "create_image_artifact")


def leave_all(drawn):
    artefacts.table("Some table", [{"a": 1}])
    artefacts.text("some text", "words")
    artefacts.picture("a picture", lambda: drawn.append(True) or "data:image/png;base64,")


def test_without_a_flow_run_nothing_is_made_and_nothing_is_drawn(monkeypatch):
    for name in MAKERS:
        monkeypatch.setattr(artefacts, name, None)
    drawn = []
    leave_all(drawn)
    assert drawn == []


def test_a_server_that_refuses_costs_a_warning_each(monkeypatch, caplog):
    def refuse(**named):
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(artefacts, "is_shown", lambda: True)
    for name in MAKERS:
        monkeypatch.setattr(artefacts, name, refuse)
    with caplog.at_level(logging.WARNING):
        leave_all([])
    assert [record.args for record in caplog.records] == [
        (key, "connection refused") for key in ("some-table", "some-text", "a-picture")
    ]


def test_a_mistake_in_a_picture_is_not_hidden(monkeypatch):
    monkeypatch.setattr(artefacts, "is_shown", lambda: True)
    with pytest.raises(ZeroDivisionError):
        artefacts.picture("a picture", lambda: str(1 // 0))


@given(st.text(min_size=1))
def test_any_name_gives_a_key_that_prefect_takes(name):
    key = artefacts.key_of(name)
    assert ArtifactCreate(key=key or None).key == (key or None)
