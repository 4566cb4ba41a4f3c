"""Every file of the corpus, through the way that extraction takes."""

import os
import shutil
import subprocess
import sys
from time import perf_counter

import numpy as np
import pytest

from polyspace.data.clips import DecodedClip, Request
from polyspace.data.prefetch import decode_all
from tests.support import hostile
from tests.support.clips import ask
from tests.support.hostile import CORPUS
from tests.support.videos import numbers

SECONDS = 10
"""What a file may take at most."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile") / "outer" / "root"
    folder.mkdir(parents=True)
    hostile.build(folder)
    return folder


def requests() -> list[Request]:
    return [ask(case.listed, hostile.WANTED) for case in CORPUS]


@pytest.fixture(scope="module")
def outcomes(root):
    """What came of each, and the seconds that it took."""
    found, started = {}, perf_counter()
    for case, result in zip(
        CORPUS, decode_all(root, requests(), processes=1, ahead=0), strict=True
    ):
        found[case.name] = result, perf_counter() - started
        started = perf_counter()
    return found


@pytest.mark.parametrize("case", CORPUS, ids=lambda case: case.name)
def test_what_comes_of_a_hostile_file(outcomes, case):
    result, seconds = outcomes[case.name]

    if isinstance(case.outcome, str):
        assert not isinstance(result, DecodedClip)
        assert result.reason in case.outcome.split(" or "), str(result)
        assert str(result).startswith(f"{case.listed}: ")
        assert "\n" not in str(result)
    else:
        assert isinstance(result, DecodedClip), str(result)
        upright = np.rot90(result.frames, case.turns, axes=(1, 2))
        assert tuple(numbers(upright)) == case.outcome
    assert seconds < SECONDS


def test_there_are_forty_files_or_more_under_different_names():
    assert len({case.name for case in CORPUS}) == len(CORPUS) >= 40


def test_the_table_in_the_documents_is_that_of_the_corpus(pytestconfig):
    text = (pytestconfig.rootpath / "docs" / "extraction.md").read_text()

    assert hostile.table() in text, "python -m tests.support.hostile writes it anew"


ALONE = """
import resource, sys
from pathlib import Path
from polyspace.data.decode import decode
from polyspace.data.video_file import Limits
from polyspace.errors import VideoError
from tests.polyspace.data.test_hostile import requests
for request in requests():
    try:
        decode(Path(sys.argv[1]), request)
    except VideoError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.skipif(not shutil.which("strace"), reason="strace isn't installed")
def test_nobody_is_asked_and_nothing_is_read_outside_of_the_folder(root, tmp_path, pytestconfig):
    log = tmp_path / "calls"
    command = ["strace", "-f", "-y", "-qq", "-e", "trace=network,openat,open,openat2", "-o"]
    run = subprocess.run(
        [*command, str(log), sys.executable, "-c", ALONE, str(root)],
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        capture_output=True,
        text=True,
        check=True,
    )
    calls = log.read_text().splitlines()
    network = [
        line for line in calls if "connect(" in line or "sendto(" in line or "AF_INET" in line
    ]
    outer = root.parent
    opened = [line for line in calls if f'"{outer}' in line and " = -1 " not in line]
    strangers = [line for line in opened if f'"{root}/' not in line]

    assert network == []
    assert opened
    assert strangers == []
    assert int(run.stdout) * 1024 < 2**30
