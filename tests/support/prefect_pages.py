"""Prefect's pages, as people use them: log in, fill in a form, submit it, switch a schedule on."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from polyspace.config import Config
from tests.support.browser import Page

T = TypeVar("T")
FIELD = """[...document.querySelectorAll('.schema-form-property')].find(e =>
  e.querySelector('.schema-form-property__label').textContent.split(' (')[0].trim() === '%s')"""
LABELS = """[...document.querySelectorAll('.schema-form-property__label')].map(e =>
  e.textContent.split(' (')[0].trim())"""
CHOOSE = "(s => {{ s.value = '{}'; s.dispatchEvent(new Event('change')); return true }})({})"
PASSWORD = "document.querySelector('input[type=password]')"
SUBMIT = "document.querySelector('button[type=submit]')"
SWITCH = "document.querySelector('[role=switch]')"
BETWEEN_CLICKS_SECONDS = 2.0


def titles(config: type[Config]) -> Sequence[str]:
    """Say what the fields of a form are called, those without a default first."""
    fields = config.model_fields
    names = sorted(fields, key=lambda name: not fields[name].is_required())
    return [name.replace("_", " ").title() for name in names]


def log_in(page: Page, address: str, secret: str) -> None:
    """Give a server's pages the words that they ask for."""
    page.open(f"{address}/login")
    page.fill(PASSWORD, secret)
    page.click(SUBMIT)
    page.wait("!document.location.pathname.startsWith('/login')")


def open_form(page: Page, address: str, deployment_id: object, last: str) -> None:
    """Open the form of a deployment, and wait for the last field of interest."""
    page.open(f"{address}/deployments/deployment/{deployment_id}/run")
    page.wait(f"!!({FIELD % last})")


def write(page: Page, title: str, text: str) -> None:
    """Type into a field of a form."""
    page.fill(f"({FIELD % title}).querySelector('textarea, input')", text)


def choose(page: Page, title: str, value: str) -> None:
    """Choose one of a field's values."""
    page.run(CHOOSE.format(value, f"({FIELD % title}).querySelector('select')"))


def submit(page: Page, look: Callable[[], T]) -> T:
    """Submit a form until something comes of it, as a person would; give what it is.

    The page takes a moment to take over what was typed.
    """
    time.sleep(BETWEEN_CLICKS_SECONDS)
    while not (found := look()):
        page.click(SUBMIT)
        time.sleep(BETWEEN_CLICKS_SECONDS)
    return found


def switch_on(page: Page, address: str, deployment_id: object) -> None:
    """Switch the schedule of a deployment on."""
    page.open(f"{address}/deployments/deployment/{deployment_id}")
    page.click_until(SWITCH, f"{SWITCH}.ariaChecked === 'true'")
