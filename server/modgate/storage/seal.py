"""What is kept of a text: all of it, sealed with the operator's key if there is one, its hash, or nothing."""

import base64
import binascii
import hashlib
import os
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["KeptText", "KeyFileError", "TextForm", "TextSealer"]

_KEY_BYTES = 32
_NONCE_BYTES = 12
_NAME_BYTES = 4


class TextForm(IntEnum):
    """How a text is kept."""

    NONE = 0
    PLAIN = 1
    SEALED = 2
    HASH = 3


class KeptText(NamedTuple):
    """A text as it is kept: as typed, sealed in base64, or 64 hex digits of SHA-256."""

    form: TextForm
    value: str


class KeyFileError(ValueError):
    """The key file cannot be used; the message says why and never quotes it."""


class TextSealer:
    """Keeps texts, and opens them again.

    AES-256-GCM with a random nonce, bound to the id of the record, so that a sealed text moved to another record does
    not open. A sealed text begins with four bytes that name its key, so that keys can be exchanged: the first key
    seals, every key opens.

    Args:
        keys: Keys of 32 bytes; none: texts are kept as typed.
    """

    def __init__(self, keys: tuple[bytes, ...] = ()) -> None:
        if any(len(key) != _KEY_BYTES for key in keys):
            raise KeyFileError("a key must have 32 bytes: make one with `openssl rand -base64 32`")
        self._ciphers = {hashlib.sha256(key).digest()[:_NAME_BYTES]: AESGCM(key) for key in keys}
        self._seal_with = next(iter(self._ciphers), None)

    @classmethod
    def from_file(cls, path: Path | None) -> "TextSealer":
        """Read the keys of a file, one base64 key a line."""
        if path is None:
            return cls()
        try:
            lines = [line.strip() for line in path.read_text().splitlines()]
            keys = tuple(base64.b64decode(line, validate=True) for line in lines if line and not line.startswith("#"))
        except (OSError, binascii.Error, UnicodeDecodeError) as error:
            raise KeyFileError(f"cannot read keys from {path}: {type(error).__name__}") from error
        if not keys:
            raise KeyFileError(f"{path} holds no key: make one with `openssl rand -base64 32`")
        return cls(keys)

    def keep(self, text: str, policy: str, record_id: str) -> KeptText:
        """Return what is kept of a text under a policy: `none`, `hash` or `full`."""
        if not text or policy == "none":
            return KeptText(TextForm.NONE, "")
        if policy == "hash":
            return KeptText(TextForm.HASH, hashlib.sha256(text.encode()).hexdigest())
        if self._seal_with is None:
            return KeptText(TextForm.PLAIN, text)
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._seal_with].encrypt(nonce, text.encode(), record_id.encode())
        return KeptText(TextForm.SEALED, base64.b64encode(self._seal_with + nonce + sealed).decode())

    def open(self, kept: KeptText, record_id: str) -> str:
        """Return the text, or an empty string if it was not kept or no key here opens it."""
        if kept.form is TextForm.PLAIN:
            return kept.value
        if kept.form is not TextForm.SEALED:
            return ""
        raw = base64.b64decode(kept.value)
        cipher = self._ciphers.get(raw[:_NAME_BYTES])
        if cipher is None:
            return ""
        nonce, sealed = raw[_NAME_BYTES : _NAME_BYTES + _NONCE_BYTES], raw[_NAME_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, sealed, record_id.encode()).decode()
        except InvalidTag:
            return ""
