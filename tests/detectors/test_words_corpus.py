"""The two gates of the shipped lists: clean text stays clean, hidden words are found; and the files themselves."""

import pytest
from benchmarks._evasions import TRICKS, evasions
from benchmarks.words import caught, clean_rows, false_positives, hidden_words, subject

from modgate.detectors.words import WordsInspector
from modgate.detectors.words_files import parse_entries, shipped, shipped_names

INSPECTOR = WordsInspector.compile([shipped(name) for name in shipped_names()])


def test_no_clean_row_is_hit_by_any_shipped_list() -> None:
    """The clean corpus has a thousand rows at least, and all lists together hit none of them."""
    rows = clean_rows()
    assert len(rows) >= 1000
    assert false_positives(INSPECTOR, rows) == []


def test_evasions_are_caught() -> None:
    """Of a thousand variants at least, by every trick, 95 % are found with every letter in the span."""
    variants = evasions(hidden_words(60), seed=1)
    assert len(variants) >= 1000
    missed = [variant.text for variant in variants if not caught(INSPECTOR, variant)]
    assert len(missed) <= 0.05 * len(variants), missed


@pytest.mark.parametrize("trick", sorted(set(TRICKS) - {name for name in TRICKS if "leet" in name}))
def test_each_trick_but_leet_is_nearly_always_undone(trick: str) -> None:
    """No trick hides behind the others' success; leet is ambiguous and has no such floor."""
    variants = [variant for variant in evasions(hidden_words(40), seed=2) if variant.trick == trick]
    missed = [variant.text for variant in variants if not caught(INSPECTOR, variant)]
    assert len(missed) <= 0.05 * len(variants), missed


@pytest.mark.parametrize("name", shipped_names())
def test_every_entry_of_a_shipped_list_is_found(name: str) -> None:
    """No entry is lost in compiling, none is cancelled by the list's own allowed phrases, none is a Latin letter."""
    words = shipped(name)
    inspector = WordsInspector.compile([words])
    assert len(words.entries) >= 15
    for entry in words.entries:
        assert len(entry) > 1 or not entry.isascii()
        assert inspector.inspect(subject(f"{entry}!")), entry


def test_parse_entries_reads_one_a_line() -> None:
    """Comments, blank lines, a byte order mark, spaces around and repetitions do not count."""
    assert parse_entries("\ufeff# note\n\nfoo\r\n bar baz \nfoo\n") == ("foo", "bar baz")


def test_unknown_lists_are_key_errors() -> None:
    """Asking for a list that does not ship says so."""
    with pytest.raises(KeyError, match="nothing"):
        shipped("nothing")
