"""A service with a password that a stranger could guess does not start."""

import os
import shutil
import stat
import subprocess

import pytest

from flows.services import compose
from flows.services.compose import DOCKER

GOOD = "q7Rk2vTz9LmXc4Wp8NsY"


def enter(folder, environment, *command):
    """Run a command through the entry script."""
    path = {"PATH": os.environ["PATH"], "POLYSPACE_SECRETS_FOLDER": str(folder)}
    return subprocess.run(
        ("sh", DOCKER / "entry.sh", *(command or ("true",))),
        env=path | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def enter_with(tmp_path, secret):
    (tmp_path / "one").write_text(secret)
    environment = {"ONE_FILE": f"{tmp_path}/one", "POLYSPACE_NEEDS": "ONE"}
    return enter(tmp_path, environment, "sh", "-c", 'printf "%s %s" "$ONE" "${ONE_FILE-}"')


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "secrets"
    subprocess.run(("sh", DOCKER / "make-secrets.sh", folder, "0600"), check=True)
    return folder


def test_a_good_secret_is_handed_on_and_its_file_is_not(tmp_path):
    done = enter_with(tmp_path, f"{GOOD}\n")
    assert (done.returncode, done.stdout) == (0, f"{GOOD} ")


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "is empty"),
        ("\n", "is empty"),
        ("somebody:", "is empty"),
        ("short", "is shorter than 16 characters"),
        ("a-long-user-name-counts-for-nothing:short", "is shorter than 16 characters"),
        ("replace-me-replace-me", "is an example or a default"),
        ("ChangeMe-q7Rk2vTz9LmX", "is an example or a default"),
        ("minioadmin-minioadmin", "is an example or a default"),
        ("user:postgres-q7Rk2vTz9", "is an example or a default"),
        ("aaaaaaaaaaaaaaaaaaaaaaaa", "repeats itself"),
        ("abcabcabcabcabcabcabc", "repeats itself"),
    ],
)
def test_a_secret_that_can_be_guessed_is_refused(tmp_path, secret, why):
    done = enter_with(tmp_path, secret)
    assert done.returncode == 78
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: secret ONE {why}: make one with")
    assert len(secret) < 6 or secret.strip() not in done.stderr


def test_a_secret_in_the_environment_itself_is_no_way_round(tmp_path):
    done = enter(tmp_path, {"ONE": "admin", "POLYSPACE_NEEDS": "ONE"})
    assert (done.returncode, "ONE is shorter" in done.stderr) == (78, True)


def test_a_needed_secret_that_nobody_gives_is_refused(tmp_path):
    assert "TWO is empty" in enter(tmp_path, {"POLYSPACE_NEEDS": "TWO"}).stderr
    assert "ONE can't be read" in enter(tmp_path, {"ONE_FILE": f"{tmp_path}/no"}).stderr
    assert enter(tmp_path, {}).returncode


def test_files_elsewhere_are_left_alone(tmp_path):
    environment = {"SSL_CERT_FILE": "/etc/ssl/no.pem", "ONE": GOOD, "POLYSPACE_NEEDS": "ONE"}
    done = enter(tmp_path, environment, "sh", "-c", 'echo "$SSL_CERT_FILE"')
    assert done.stdout == "/etc/ssl/no.pem\n"


def test_what_is_made_differs_is_its_owners_and_stays(made):
    secrets = {path.name: path.read_text() for path in made.iterdir()}
    assert len(set(secrets.values())) == len(secrets)
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()} == {0o600}
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    subprocess.run(("sh", DOCKER / "make-secrets.sh", made, "0600"), check=True)
    assert secrets == {path.name: path.read_text() for path in made.iterdir()}


def test_the_encryption_key_is_one_that_prefect_takes(made):
    from cryptography.fernet import Fernet

    key = Fernet((made / "prefect_encryption_key").read_text())
    assert key.decrypt(key.encrypt(b"block")) == b"block"


SECRETIVE = [
    name
    for name, service in compose.services({}).items()
    if "POLYSPACE_NEEDS" in service.environment
]


@pytest.mark.parametrize("name", SECRETIVE)
def test_a_service_starts_with_made_secrets_and_with_none_of_the_examples(name, made):
    service = compose.services({})[name]
    assert enter(made, service.at({"/run/secrets": str(made)}).environment).returncode == 0
    examples = DOCKER / "secrets.example"
    refused = enter(examples, service.at({"/run/secrets": str(examples)}).environment)
    assert refused.returncode == 78


@pytest.mark.parametrize("name", SECRETIVE)
def test_a_service_starts_with_none_of_its_secrets_empty(name, made, tmp_path):
    folder = shutil.copytree(made, tmp_path / "secrets")
    service = compose.services({})[name].at({"/run/secrets": str(folder)})
    files = [value for value in service.environment.values() if value.startswith(f"{folder}/")]
    assert files
    for file in files:
        kept = (made / os.path.basename(file)).read_text()
        with open(file, "w") as emptied:
            emptied.truncate()
        assert "is empty" in enter(folder, service.environment).stderr
        with open(file, "w") as filled:
            filled.write(kept)
