"""What an operator can set: a YAML file, then `MODGATE_*` environment variables, then flags; the last one wins."""

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as UnreadableError

from modgate.media.reference import AllowedHost
from modgate.storage.settings import StorageSettings

__all__ = ["Settings", "SettingsError", "load_settings", "origins"]

_REPOSITORY_BUNDLES = Path(__file__).resolve().parents[2] / "models" / "bundles"
_INSTALLED_BUNDLES = Path("/usr/share/modgate/bundles")


class SettingsError(Exception):
    """Settings cannot be used; the message names each setting and what is wrong with it."""


class _Group(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LimitSettings(_Group):
    """How much of anything is accepted."""

    text_bytes: int = Field(65_536, ge=1, le=1_048_576, description="Bytes of UTF-8 in a message's text.")
    media: int = Field(10, ge=0, le=100, description="Attachments of a message.")
    media_bytes: int = Field(8_388_608, ge=1, le=67_108_864, description="Bytes of one attachment.")
    message_bytes: int = Field(16_777_216, ge=1024, le=134_217_728, description="Bytes of one request as encoded.")
    in_flight: int = Field(512, ge=1, description="Messages that wait for models; beyond it they are not asked.")
    in_flight_per_app: int = Field(256, ge=1, description="The same for a single app: one cannot starve others.")
    streams_per_connection: int = Field(1_000, ge=1, description="Concurrent calls on one connection.")
    unread_calls: int = Field(
        64,
        ge=2,
        le=100_000,
        description="Unary calls that wait to be read; from here on gRPC refuses some, from half as many more all.",
    )
    stream_window: int = Field(128, ge=1, description="Messages of one ModerateStream that are judged at once.")


class ModelSettings(_Group):
    """Which models serve, and with what."""

    bundles: tuple[Path, ...] = Field(
        (_INSTALLED_BUNDLES, _REPOSITORY_BUNDLES), description="Folders that hold bundles; later ones win."
    )
    text: str | None = Field("text-en", description="Name of the text bundle; empty for none.")
    first: str | None = Field(
        "auto",
        description="Name of a first stage to put before it; auto takes the one that was made for it, empty none.",
    )
    multilingual: str | None = Field(
        "auto",
        description="Name of a text bundle for messages in languages that the first does not read; "
        "auto takes text-multi, empty none.",
    )
    images: tuple[str, ...] = Field(("open-nsfw", "swiftformer-s"), description="Names of the image bundles.")
    ocr: str | None = Field(
        None, description="Bundle that reads text in pictures for the text rules, pp-ocrv6-tiny; empty for none."
    )
    video: int = Field(0, ge=0, le=16, description="Processes that decode videos; needs the extra modgate[video].")
    heif: int = Field(0, ge=0, le=16, description="Processes that decode HEIC pictures; needs the extra modgate[heif].")
    workers: int = Field(0, ge=0, le=256, description="Threads that run models; 0 is one for each core of the quota.")
    processes: bool = Field(
        default=True, description="Whether each of them runs the text model in a process of its own."
    )
    nice: int = Field(10, ge=0, le=19, description="How far below the event loop models are scheduled.")
    cache_entries: int = Field(20_000, ge=0, description="Texts whose scores are kept, at about 3 kB each.")

    @field_validator("text", "multilingual", "ocr")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None


class MediaSettings(_Group):
    """Where media that a message only names may be fetched from."""

    hosts: tuple[str, ...] = Field(
        (), description="Hosts: `cdn.example.com`, `https://host:8443`, `private+http://minio:9000`."
    )
    folders: tuple[Path, ...] = Field((), description="Folders that `file:` addresses may lie in.")

    @field_validator("hosts")
    @classmethod
    def _hosts_are_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for host in value:
            AllowedHost.parse(host)
        return value


class LogSettings(_Group):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity.")
    format: Literal["json", "console"] = Field("json", description="JSON lines, or lines for people.")
    decisions: Literal["all", "notable", "none"] = Field(
        "notable", description="Which decisions are logged; notable leaves out plain ALLOWs, overload included."
    )
    text: bool = Field(default=False, description="Whether decision log lines carry the text of messages.")


class ControlSettings(_Group):
    """The control plane."""

    token: str = Field("", description="Bearer token that callers must show. Without one, the control plane is closed.")
    tls_cert: Path | None = Field(None, description="PEM certificate chain of the control listener.")
    tls_key: Path | None = Field(None, description="PEM key of the control listener.")
    tls_client_ca: Path | None = Field(None, description="PEM of the authority whose client certificates are let in.")


class Settings(BaseSettings):
    """All settings of `modgate serve`."""

    model_config = SettingsConfigDict(
        env_prefix="MODGATE_",
        env_nested_delimiter="__",
        env_parse_none_str="null",
        extra="forbid",
        frozen=True,
        nested_model_default_partial_update=True,
    )

    listen: tuple[str, ...] = Field(("127.0.0.1:50051",), description="Data plane: each `host:port` or `unix:path`.")
    control_listen: str = Field("127.0.0.1:50052", description="Control plane: an address, or empty.")
    metrics_listen: str = Field("127.0.0.1:9464", description="Metrics over HTTP: `host:port`, or empty.")
    rules: str = Field("builtin:default", description="The rule file, or `builtin:default`.")
    rules_store: Path | None = Field(
        None, description="SQLite file of rules that the control plane may change; its first content are `rules`."
    )
    reserve_ms: int = Field(20, ge=1, le=100, description="Part of the budget kept for sending the answer.")
    drain_seconds: float = Field(1.5, ge=0.1, le=60, description="Time for calls in flight after SIGTERM.")
    recent_seconds: float = Field(60.0, ge=0, description="How long a repeated message id gets the same answer.")
    limits: LimitSettings = LimitSettings()
    models: ModelSettings = ModelSettings()
    media: MediaSettings = MediaSettings()
    log: LogSettings = LogSettings()
    control: ControlSettings = ControlSettings()
    storage: StorageSettings | None = Field(
        StorageSettings(), description="History, review queue, violations and sanctions; null remembers nothing."
    )
    fault: tuple[str, ...] = Field((), description="Drills: DETECTOR=delay:500ms, hang or error.")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from init arguments (flags over file, merged by `load_settings`) and the environment."""
        del settings_cls, dotenv_settings, file_secret_settings
        return init_settings, env_settings


class _FileSettings(Settings):
    """The same with the environment over the init arguments, which are then the file's content."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from the environment, then from init arguments."""
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load_settings(config: Path | None = None, flags: dict[str, Any] | None = None) -> Settings:
    """Return the settings in force.

    Args:
        config: A YAML file, if there is one.
        flags: What the command line says, by setting; nested as in the file. Values of None are not said.

    Raises:
        SettingsError: If the file cannot be read or a value is not allowed, with all of them.
    """
    try:
        base = _FileSettings(**_read(config))
        merged = _merge(base.model_dump(), _said(flags or {}))
        return Settings.model_validate(merged)
    except UnreadableError as error:
        raise SettingsError(
            f"{error}: lists in environment variables are JSON, such as MODGATE_LISTEN='[\"127.0.0.1:50051\"]'"
        ) from error
    except ValidationError as error:
        raise SettingsError(
            "; ".join(f"{_path(e['loc'])}: {e['msg']}" for e in error.errors(include_url=False))
        ) from error


def origins(config: Path | None = None, flags: dict[str, Any] | None = None) -> list[tuple[str, Any, str]]:
    """Return every setting with its value and where that came from: `default`, `file`, `environment` or `flag`."""
    settings = load_settings(config, flags)
    default = _flatten(Settings.model_construct().model_dump())
    from_file = _flatten(_read(config))
    with_env = _flatten(load_settings(config).model_dump())
    said = _flatten(_said(flags or {}))
    rows = []
    for name, value in _flatten(settings.model_dump()).items():
        if name in said:
            origin = "flag"
        elif name in from_file and with_env[name] == _comparable(from_file[name], value):
            origin = "file"
        elif with_env[name] != default.get(name):
            origin = "environment"
        else:
            origin = "default"
        rows.append((name, "***" if name.endswith("token") and value else value, origin))
    return rows


def _read(config: Path | None) -> dict[str, Any]:
    if config is None:
        return {}
    try:
        content = yaml.safe_load(config.read_text())
    except OSError as error:
        raise SettingsError(f"cannot read {config}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise SettingsError(f"{config} is not YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise SettingsError(f"{config}: settings must be a mapping such as `reserve_ms: 20`")
    return content


def _said(flags: dict[str, Any]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for key, value in flags.items():
        if isinstance(value, dict):
            if inner := _said(value):
                said[key] = inner
        elif value is not None and value not in ((), []):
            said[key] = value
    return said


def _merge(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in over.items():
        merged[key] = _merge(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
    return merged


def _flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, BaseModel):
            value = value.model_dump()  # noqa: PLW2901 - one shape from here on
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _comparable(value: Any, like: Any) -> Any:  # noqa: ANN401 - settings have many types
    return tuple(type(like[0])(v) if like else v for v in value) if isinstance(like, tuple) else type(like)(value)


def _path(loc: tuple[int | str, ...]) -> str:
    return ".".join(map(str, loc)) or "settings"
