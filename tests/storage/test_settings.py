"""Where the gate remembers, as an operator says it: in the environment, with errors that tell what to write."""

from datetime import timedelta
from pathlib import Path

import pytest

from modgate.settings import SettingsError, load_settings
from modgate.storage.settings import StorageSettings


def storage(monkeypatch: pytest.MonkeyPatch, **variables: str) -> StorageSettings | None:
    """Return the settings that these variables make; two underlines in a name lead into a group."""
    for name, value in variables.items():
        monkeypatch.setenv(f"MODGATE_{name}", value)
    return load_settings().storage


def test_every_level_can_be_set_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container sets folders, addresses, what is kept and for how long, without a file; the rest stays as it is."""
    settings = storage(
        monkeypatch,
        STORAGE__FOLDER="/var/lib/modgate",
        STORAGE__DATABASE="postgresql://gate:hunter2@db/modgate",
        STORAGE__VALKEY__URL="valkey://valkey:6379/0",
        STORAGE__VALKEY__BUDGET="0.01",
        STORAGE__JOURNAL__COMMIT_EVERY="0.5",
        STORAGE__HISTORY__DECISIONS="flagged",
        STORAGE__HISTORY__FLAGGED_TEXT="hash",
        STORAGE__HISTORY__REPORT_REASONS='["spam", "rude"]',
        STORAGE__HISTORY__RETENTION__MAX_AGE="30d",
        STORAGE__HISTORY__RETENTION__MAX_BYTES="1073741824",
    )
    assert settings is not None
    assert settings.folder == Path("/var/lib/modgate")
    assert settings.database_url == "postgresql+psycopg://gate:hunter2@db/modgate"
    assert settings.valkey is not None
    assert (settings.valkey.url.get_secret_value(), settings.valkey.budget) == ("valkey://valkey:6379/0", 0.01)
    assert settings.journal.commit_every == 0.5
    assert (settings.history.decisions, settings.history.text, settings.history.flagged_text) == (
        "flagged",
        "none",
        "hash",
    )
    assert settings.history.report_reasons == ("spam", "rude")
    assert settings.history.retention.max_age == timedelta(days=30)
    assert settings.history.retention.max_bytes == 1024**3
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("90d", timedelta(days=90)),
        ("12h", timedelta(hours=12)),
        ("P7D", timedelta(days=7)),
        ("86400", timedelta(days=1)),
        ("null", None),
    ],
)
def test_durations_are_written_as_in_rules(monkeypatch: pytest.MonkeyPatch, said: str, meant: timedelta | None) -> None:
    """What works in a rule works here, and so do seconds and ISO 8601."""
    settings = storage(monkeypatch, STORAGE__HISTORY__RETENTION__MAX_AGE=said)
    assert settings is not None
    assert settings.history.retention.max_age == meant


def test_nothing_is_remembered_if_that_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """`null` switches the whole storage off."""
    assert storage(monkeypatch, STORAGE="null") is None


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("STORAGE__HISTORY__RETENTION__MAX_AGE", "three weeks", r"storage\.history\.retention\.max_age: .*write 90d"),
        ("STORAGE__HISTORY__TEXT", "all", r"storage\.history\.text: .*'none', 'hash' or 'full'"),
        ("STORAGE__HISTORY__REPORT_REASONS", "spam,rude", r"\"storage\".* are JSON"),
        ("STORAGE__VALKEY__BUDGET", "0.1", r"storage\.valkey\.url: Field required"),
        ("STORAGE__FOLDRE", "/var", r"storage\.foldre: Extra inputs"),
    ],
)
def test_what_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    """The operator reads which setting it is and what to write."""
    with pytest.raises(SettingsError, match=told):
        storage(monkeypatch, **{name: value})
