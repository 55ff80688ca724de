"""Settings: anything unknown or wrong is refused at start, by name; everything there is, is documented."""

import base64
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr
from pydantic_core import PydanticUndefined

from api.serving import environment
from api.settings import PREFIX, Settings, SettingsError, load
from tests.conftest import SECRET

ROOT = Path(__file__).parents[2]


def test_the_environment_is_read() -> None:
    """Variables give the settings, flags go before them, and what nobody set has its default."""
    settings = load(
        {"ASSENT_SECRET": SECRET, "ASSENT_PORT": "9000", "ASSENT_HOST": "::1", "OTHER": "x"}, port=9001
    )
    assert (settings.port, settings.host, settings.jurisdiction) == (9001, "::1", "EU")
    assert settings.secret_bytes == bytes(range(32))


@pytest.mark.parametrize(
    ("host", "public_url"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000"),
        ("assent.example", "http://assent.example:8000"),
        ("::1", "http://[::1]:8000"),
        ("2001:db8::7", "http://[2001:db8::7]:8000"),
    ],
)
def test_links_begin_with_where_the_service_listens(host: str, public_url: str) -> None:
    """Without a public address of its own; one that is given stays as it is."""
    settings = load({"ASSENT_SECRET": SECRET, "ASSENT_HOST": host})
    assert settings.public_url == public_url
    assert (urlsplit(public_url).hostname, urlsplit(public_url).port) == (host, 8000)
    given = load({"ASSENT_SECRET": SECRET, "ASSENT_HOST": host, "ASSENT_PUBLIC_URL": "https://a.example/"})
    assert given.public_url == "https://a.example"


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [
        ("ASSENT_DATABSE_URL", "ASSENT_DATABASE_URL"),
        ("ASSENT_SECRETS", "ASSENT_SECRET"),
        ("ASSENT_XYZZY", None),
    ],
)
def test_an_unknown_setting_is_refused(wrong: str, meant: str | None) -> None:
    """A misspelt name is refused with the one that was probably meant, never with its value."""
    with pytest.raises(SettingsError) as refused:
        load({"ASSENT_SECRET": SECRET, wrong: "canary7f3a"})
    assert wrong in str(refused.value)
    assert (f"did you mean {meant}?" in str(refused.value)) == (meant is not None)
    assert "canary7f3a" not in str(refused.value)


WRONG = {
    "SECRET": ("", "short", "canary7f3a!", base64.b64encode(b"x" * 31).decode()),
    "DATABASE_URL": ("canary7f3a", "mysql://u:canary7f3a@h/d", "sqlite://", ""),
    "PORT": ("canary7f3a", "-1", "65536", "80.5"),
    "PUBLIC_URL": ("canary7f3a", "ftp://canary7f3a"),
    "TRAINING_CLUSTER": ("ray://canary7f3a:10001",),
    "LINK_TTL_S": ("59", "2592001"),
    "SESSION_TTL_S": ("0", "86401"),
    "ERASURE_DEADLINE_H": ("0", "721"),
    "GUARDIAN_BELOW_AGE": ("19", "-1", "canary7f3a"),
    "PROFILING_OF_MINORS": ("canary7f3a", "2"),
    "ASK_AGAIN_AFTER_REFUSAL_D": ("-1", "3651"),
    "ASK_AGAIN_AFTER_DISMISSAL_D": ("-1", "canary7f3a"),
    "ASK_AGAIN_AFTER_QUESTION_D": ("-1", "0.5"),
    "LOG_NAME": ("", "canary7f3a canary7f3a", "canary7f3a+"),
    "CHECKPOINT_S": ("0", "86401"),
    "MAX_BODY_BYTES": ("1023", "canary7f3a"),
    "RATE_LIMIT": ("-1", "canary7f3a"),
    "RECOMMEND_DEADLINE_S": ("0", "61"),
    "REQUEST_DEADLINE_S": ("0.5", "601"),
    "JOB_LEASE_S": ("0.5", "3601"),
    "POLL_S": ("0", "61", "nan"),
    "EXPIRING_NOTICE_DAYS": ("0", "181", "canary7f3a"),
    "WEBHOOK_NETWORKS": ("canary7f3a", "10.0.0.0/33", "10.0.0.1/8"),
    "WEBHOOK_HTTP": ("canary7f3a", "2"),
    "TELEMETRY": ("canary7f3a", "on"),
    "TRAINING_SEED": ("canary7f3a", "1.5"),
    "TRAINING_SHARDS": ("0", "65"),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    """A wrong value is refused with the name of its setting, and is not repeated: it could be the secret, or a password."""
    with pytest.raises(SettingsError) as refused:
        load({"ASSENT_SECRET": SECRET, PREFIX + name: value})
    assert str(refused.value).startswith(f"{PREFIX}{name}: ")
    assert "canary7f3a" not in str(refused.value)


def test_every_fault_is_told_at_once() -> None:
    """Two unknown names and two wrong values are four lines."""
    wrong = {
        "ASSENT_A": "1",
        "ASSENT_B": "2",
        "ASSENT_PORT": "x",
        "ASSENT_POLL_S": "x",
        "ASSENT_SECRET": SECRET,
    }
    with pytest.raises(SettingsError) as refused:
        load(wrong)
    assert len(str(refused.value).splitlines()) == 4


def test_the_secret_is_not_shown() -> None:
    """Neither printing nor dumping the settings shows the secret; a worker beside gets it, and all else, unchanged."""
    settings = load({"ASSENT_SECRET": SECRET, "ASSENT_PORT": "9000"})
    for shown in (repr(settings), str(settings), settings.model_dump_json()):
        assert SECRET not in shown
    assert load(environment(settings)) == settings


def test_a_command_refuses_to_start() -> None:
    """The command line ends with an error that names the setting, and without a stack of ours."""
    variables = {**os.environ, "ASSENT_SECRET": SECRET, "ASSENT_PROT": "8000", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "api.cli", "serve"], env=variables, capture_output=True, text=True, timeout=60, check=False, cwd=ROOT
    )  # fmt: skip
    assert done.returncode != 0
    assert "ASSENT_PROT" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


def documented() -> dict[str, tuple[str, str]]:
    """The table of docs/settings.md: default and meaning by name."""
    text = (ROOT / "docs" / "settings.md").read_text("utf-8")
    rows = re.findall(r"^\| `(ASSENT_[A-Z_]+)` \| (.*?) \| (.*) \|$", text, re.MULTILINE)
    return {name: (default, meaning) for name, default, meaning in rows}


def test_every_setting_is_documented() -> None:
    """docs/settings.md has every setting with its default and meaning, in order, and no other."""
    table = documented()
    assert list(table) == [PREFIX + name.upper() for name in Settings.model_fields]
    for name, field in Settings.model_fields.items():
        default, meaning = table[PREFIX + name.upper()]
        assert meaning == (field.description or "").replace("|", "\\|"), name
        if field.default is PydanticUndefined:
            assert default == "required"
        else:
            shown = (
                field.default.get_secret_value() if isinstance(field.default, SecretStr) else field.default
            )
            assert default == (f"`{shown}`" if shown != "" else "empty"), name
