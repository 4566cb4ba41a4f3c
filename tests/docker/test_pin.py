"""The digests of foreign images, asked of whatever docker is on the PATH."""

import os
import re
import shutil
import subprocess

import pytest

from flows.services.compose import DOCKER


@pytest.fixture
def folder(tmp_path):
    """A copy of what pin.sh reads, and a docker that answers with a digest for each image."""
    for name in ("pin.sh", "compose.yaml", "Dockerfile"):
        shutil.copy(DOCKER / name, tmp_path)
    docker = tmp_path / "bin/docker"
    docker.parent.mkdir()
    docker.write_text(
        '#!/bin/sh\necho "$4" >>asked\necho "${ANSWER-sha256:$(printf %s "$4" | wc -c)}"\n'
    )
    docker.chmod(0o755)
    return tmp_path


def pin(folder, **environment):
    path = f"{folder}/bin:{os.environ['PATH']}"
    return subprocess.run(
        ("sh", folder / "pin.sh"),
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_foreign_image_is_asked_for_by_its_version(folder):
    assert pin(folder).returncode == 0
    asked = (folder / "asked").read_text().split()
    assert len(asked) == 4
    assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+[\w.-]*", image) for image in asked), asked
    lines = (folder / ".env").read_text().splitlines()
    names = re.findall(r"\$\{([A-Z]+_DIGEST)", (folder / "compose.yaml").read_text())
    assert sorted(line.partition("=")[0] for line in lines) == sorted(set(names))


def test_other_settings_stay_and_old_digests_go(folder):
    (folder / ".env").write_text("POLYSPACE_HOST=here\nCADDY_DIGEST=sha256:old\n")
    assert pin(folder).returncode == 0
    text = (folder / ".env").read_text()
    assert "POLYSPACE_HOST=here\n" in text
    assert text.count("CADDY_DIGEST") == 1
    assert "old" not in text


def test_an_answer_that_is_no_digest_changes_nothing(folder):
    (folder / ".env").write_text("CADDY_DIGEST=sha256:old\n")
    assert pin(folder, ANSWER="unknown").returncode
    assert (folder / ".env").read_text() == "CADDY_DIGEST=sha256:old\n"
    assert not list(folder.glob(".env.*"))
