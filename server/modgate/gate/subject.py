"""The pieces of text in a message that detectors look at."""

from collections.abc import Iterator, Mapping, Sequence

from modgate.detectors.base import TEXT, Subject
from modgate.message import Message

__all__ = ["subject_of"]

_MAX_CUSTOM_STRINGS = 256


def subject_of(message: Message, custom_paths: Sequence[str] | None, now: float) -> Subject:
    """Return what inspectors see: the text, and the strings of the custom payload.

    Args:
        message: The message.
        custom_paths: Dotted paths (`card.title`) whose strings are judged; None for all. At most 256 strings are.
        now: Wall-clock seconds.
    """
    if not message.custom:
        return Subject(message, {TEXT: message.text}, now)
    parts = {TEXT: message.text}
    for path, value in _strings(message.custom, ""):
        if custom_paths is None or any(path == p or path.startswith(f"{p}.") for p in custom_paths):
            parts[f"custom:{path}"] = value
            if len(parts) > _MAX_CUSTOM_STRINGS:
                break
    return Subject(message, parts, now)


def _strings(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, child in value.items():
            yield from _strings(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, child in enumerate(value):
            yield from _strings(child, f"{path}.{index}" if path else str(index))
