"""Where the gate keeps what it remembers, and how long."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from modgate.rules.values import parse_duration

__all__ = ["HistorySettings", "JournalSettings", "RetentionSettings", "StorageSettings", "ValkeySettings"]

Seconds = Annotated[float, Field(gt=0, le=600)]


def _duration(said: object) -> object:
    """Read `90d` as rules have it, and plain seconds; ISO 8601 and the rest are left to pydantic."""
    if not isinstance(said, str) or said.startswith(("P", "-P")) or ":" in said:
        return said
    if said.strip().isdecimal():
        return timedelta(seconds=int(said))
    if said.strip().lower() in {"null", "none"}:
        return None
    try:
        return parse_duration(said.strip())
    except ValueError as error:
        raise ValueError(f'"{said}" is no duration; write 90d, 12h or P90D') from error


Duration = Annotated[timedelta, BeforeValidator(_duration)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JournalSettings(_Strict):
    """The local file that answers are written to before they are sent."""

    segment_bytes: int = Field(
        default=16 * 1024**2,
        ge=4096,
        description="A new file is begun after this many bytes; drained ones are removed.",
    )
    max_bytes: int = Field(
        default=2 * 1024**3,
        ge=1024**2,
        description="While the store is away, the journal grows to this size; then entries are dropped and counted.",
    )
    commit_every: Seconds = Field(default=0.5, description="Seconds between two group commits into the store.")


class RetentionSettings(_Strict):
    """When decisions are removed. Decisions that wait for a moderator stay."""

    max_age: Annotated[timedelta | None, BeforeValidator(_duration)] = Field(
        default=timedelta(days=90), description="Older decisions are removed, such as 90d; null keeps them."
    )
    max_bytes: int | None = Field(
        default=None, ge=1024**2, description="The oldest decisions are removed when the history takes more than this."
    )
    check_every: Duration = Field(default=timedelta(minutes=10), description="How often this is looked at.")


class HistorySettings(_Strict):
    """What is kept of decisions."""

    decisions: Literal["all", "flagged", "none"] = Field(
        default="all",
        description="all: every decision, those that were neither blocked nor flagged at best effort. "
        "flagged: only blocked, flagged and penalised ones. none: nothing, and no review queue.",
    )
    text: Literal["none", "hash", "full"] = Field(default="none", description="What is kept of messages' text.")
    flagged_text: Literal["none", "hash", "full"] = Field(
        default="full", description="The same for flagged and reported messages, which moderators have to read."
    )
    key_file: Path | None = Field(
        default=None,
        description="File of base64 keys of 32 bytes, one a line: text is encrypted with the first, read with any.",
    )
    queue: int = Field(
        default=20_000, ge=0, description="Decisions that may wait in memory for the store; more are dropped, counted."
    )
    report_reasons: tuple[str, ...] = Field(
        default=("spam", "abuse", "harassment", "hate", "violence", "sexual content", "scam", "other"),
        description="Reasons that a report may give.",
    )
    retention: RetentionSettings = RetentionSettings()


class ValkeySettings(_Strict):
    """The server that a fleet shares counters and sanctions through; any that speaks the Redis protocol."""

    url: SecretStr = Field(description="`valkey://[user:password@]host:port/db`, or `redis://`, `unix://`.")
    prefix: str = Field(default="modgate", min_length=1, max_length=64, description="Begins the name of every key.")
    budget: Seconds = Field(
        default=0.02, description="Seconds that a message waits for the shared counters; then the local ones answer."
    )
    sync_every: Seconds = Field(default=30.0, description="Seconds between two complete copies of the sanctions.")


class StorageSettings(_Strict):
    """All of it."""

    folder: Path = Field(default=Path("state"), description="Holds the journal, and the SQLite file by default.")
    database: SecretStr | None = Field(
        default=None,
        description="`postgresql://user:password@host/name` for a fleet; absent: SQLite in `folder`.",
    )
    deadline: Seconds = Field(default=5.0, description="Seconds that a question of the control plane may take.")
    sync_every: Seconds = Field(
        default=5.0, description="Seconds between two looks for sanctions that other gates wrote to the store."
    )
    journal: JournalSettings = JournalSettings()
    history: HistorySettings = HistorySettings()
    valkey: ValkeySettings | None = None

    @property
    def database_url(self) -> str:
        """The store's address, in the form that SQLAlchemy reads."""
        if self.database is None:
            return f"sqlite:///{self.folder / 'modgate.db'}"
        url = self.database.get_secret_value()
        for plain in ("postgresql://", "postgres://"):
            if url.startswith(plain):
                return f"postgresql+psycopg://{url.removeprefix(plain)}"
        return url
