"""Texts at rest."""

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modgate.storage.seal import KeptText, KeyFileError, TextForm, TextSealer

OLD, NEW = bytes(range(32)), bytes(range(1, 33))


@given(st.text(min_size=1))
def test_a_sealed_text_opens_again(text: str) -> None:
    """What was sealed with a key opens with it, whatever was typed."""
    if any(0xD800 <= ord(c) <= 0xDFFF for c in text):
        return
    sealer = TextSealer((NEW,))
    kept = sealer.keep(text, "full", "d1")
    assert kept.form is TextForm.SEALED
    assert sealer.open(kept, "d1") == text


def test_a_sealed_text_hides_what_was_typed_and_never_repeats() -> None:
    """The same text looks different every time."""
    sealer = TextSealer((NEW,))
    first, second = (sealer.keep("meet me at noon", "full", "d1") for _ in range(2))
    assert first != second
    assert b"noon" not in base64.b64decode(first.value)


def test_keys_can_be_exchanged() -> None:
    """After the exchange old texts open with the old key and new ones are sealed with the new key."""
    old = TextSealer((OLD,)).keep("hello", "full", "d1")
    both = TextSealer((NEW, OLD))
    assert both.open(old, "d1") == "hello"
    assert TextSealer((NEW,)).open(both.keep("hello", "full", "d2"), "d2") == "hello"


def test_the_wrong_key_or_record_opens_nothing() -> None:
    """Without the key, or moved to another record, a text stays closed."""
    kept = TextSealer((OLD,)).keep("hello", "full", "d1")
    assert TextSealer((NEW,)).open(kept, "d1") == ""
    assert TextSealer((OLD,)).open(kept, "d2") == ""
    assert TextSealer().open(kept, "d1") == ""


def test_policies_say_what_is_kept() -> None:
    """None keeps nothing, hash keeps SHA-256, full without a key keeps the text."""
    sealer = TextSealer()
    assert sealer.keep("hello", "none", "d1") == KeptText(TextForm.NONE, "")
    assert sealer.keep("hello", "full", "d1") == KeptText(TextForm.PLAIN, "hello")
    kept = sealer.keep("hello", "hash", "d1")
    assert kept.value == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert sealer.open(kept, "d1") == ""


def test_keys_are_read_from_a_file(tmp_path: Path) -> None:
    """One base64 key a line; comments and empty lines are left out."""
    path = tmp_path / "keys"
    path.write_text(f"# new\n{base64.b64encode(NEW).decode()}\n\n{base64.b64encode(OLD).decode()}\n")
    kept = TextSealer((OLD,)).keep("hello", "full", "d1")
    assert TextSealer.from_file(path).open(kept, "d1") == "hello"


@pytest.mark.parametrize("content", ["", "not base64!", base64.b64encode(os.urandom(16)).decode()])
def test_a_bad_key_file_is_refused_without_quoting_it(tmp_path: Path, content: str) -> None:
    """The server does not start with keys that it cannot use, and the message tells how to make one."""
    path = tmp_path / "keys"
    path.write_text(content)
    with pytest.raises(KeyFileError) as caught:
        TextSealer.from_file(path)
    assert not content or content not in str(caught.value)
