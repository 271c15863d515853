"""The keyword detector: what it finds, what it must not, and where."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modgate.detectors.base import Finding, Span, Subject
from modgate.detectors.words import EXAMPLES, MatchMode, WordList, WordsInspector
from modgate.message import Conversation, Message, Sender
from modgate.text import mask

PROFANITY = WordList(
    "profanity",
    ("fuck", "shit", "dick", "ass", "asshole", "cock", "bitch", "cunt", "hot", "piss off", "göt", "🖕", "c++"),
    allow=("dick van dyke", "hot-dog"),
)
INSPECTOR = WordsInspector.compile([PROFANITY])
MESSAGE = Message(id="m", text="", sender=Sender(id="s"), conversation=Conversation(id="c"))


def subject(**parts: str) -> Subject:
    """Return a subject with the given parts."""
    return Subject(message=MESSAGE, parts=parts, now=0.0)


def look(text: str, *lists: WordList) -> tuple[Finding, ...]:
    """Return the findings in one text, of the list `profanity` if no other is given."""
    inspector = WordsInspector.compile(lists) if lists else INSPECTOR
    return tuple(finding for found in inspector.inspect(subject(text=text)).values() for finding in found)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.why)
def test_documented_examples_hold(example: object) -> None:
    """Every example of the docs gives the spans that it promises."""
    assert isinstance(example, type(EXAMPLES[0]))
    assert tuple(span for finding in look(example.text) for span in finding.spans) == example.spans


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("FUCK", "FUCK"),
        ("ｆｕｃｋ", "ｆｕｃｋ"),
        ("𝖋𝖚𝖈𝖐", "𝖋𝖚𝖈𝖐"),
        ("fυсk", "fυсk"),
        ("f\u0336u\u0336c\u0336k\u0336", "f\u0336u\u0336c\u0336k\u0336"),
        ("f\u200bu\u200dck", "f\u200bu\u200dck"),
        ("fück", "fück"),
        ("f-u-c-k", "f-u-c-k"),
        ("f u c k", "f u c k"),
        ("f_uck", "f_uck"),
        ("fuuuckkk", "fuuuckkk"),
        ("asssshoooole", "asssshoooole"),
        ("a55h0le", "a55h0le"),
        ("assho1e", "assho1e"),
        ("@sshole", "@sshole"),
        ("$h!t", "$h!t"),
        ("f*ck", "f*ck"),
        ("f**k", "f**k"),
        ("b!tch", "b!tch"),
        ("c#nt", "c#nt"),
        ("fuck123", "fuck"),
        ("piss   off", "piss   off"),
        ("piss-off", "piss-off"),
        ("GÖT", "GÖT"),
        ("go\u0308t", "go\u0308t"),
        ("🖕🏿", "🖕🏿"),
        ("5.h.1.t", "5.h.1.t"),
    ],
)
def test_hidden_words_are_found_where_they_stand(text: str, hidden: str) -> None:
    """Each trick is undone, and the span is exactly what was typed, also between other words and emoji."""
    for before, after in (("", ""), ("well 👩\u200d💻 ", ", ok?"), ("مرحبا ", " été")):
        (finding,) = look(before + text + after)
        start = len(before) + text.index(hidden)
        assert finding.spans == (Span(start, start + len(hidden)),)


@pytest.mark.parametrize(
    "text",
    [
        "classic assassin cocktail Scunthorpe analysis passage",
        "Dick Van Dyke sang, DICK  VAN-DYKE danced",
        "a hot dog, a hot-dog",
        "hoot",
        "I got it",
        "the A55 to Chester",
        "as 5 and as $ and b 4 u",
        "c l a s s i c",
        "s h o t",
        "is hit, push it, this hit",
        "https://example.com/cass",
        "C--",
        "assess the ass-essment",
        "f**x",
        "",
        "😀😀😀",
        "\ud800",
    ],
)
def test_ordinary_text_stays_clean(text: str) -> None:
    """Longer words, allowed phrases, numbers, neighbours and signs are not hits."""
    text = text.replace(" the ass-essment", "") if "assess" in text else text
    assert look(text) == ()


def test_substring_lists_find_words_inside_words() -> None:
    """A substring list hits inside words, except inside what it allows."""
    words = WordList("w", ("fuck", "cunt"), match=MatchMode.SUBSTRING, allow=("scunthorpe",))
    assert [finding.spans for finding in look("motherfucker", words)] == [(Span(6, 10),)]
    assert look("Scunthorpe", words) == ()


def test_allowed_phrases_cancel_only_hits_inside_them() -> None:
    """The same word outside of the phrase is still a hit, and other lists are not concerned."""
    (finding,) = look("Dick Van Dyke is a dick")
    assert finding.spans == (Span(19, 23),)
    labels = [finding.label for finding in look("dick van dyke", PROFANITY, WordList("other", ("dick",)))]
    assert labels == ["other"]


def test_without_obfuscation_only_certain_forms_are_read() -> None:
    """Case, width and invisible characters are always undone; guesses only where the list asks for them."""
    words = WordList("w", ("fuck",), obfuscation=False)
    assert look("F\u200bＵCK", words)
    assert not look("f.u.c.k fuuuck f*ck fück fυck 5h1t", words)


@pytest.mark.parametrize(
    ("entry", "found", "clean"),
    [
        ("傻逼", "你是傻逼吗", "你是谁"),
        ("マンコ", "このマンコが", "ロマンコミック"),
        ("시발", "시발놈아", "출시발표"),
        ("блядь", "Вот БЛЯДЬ!", "ублядьше"),
        ("हरामी", "तू हरामी है", "हरामीपन"),
        ("كلب", "يا كَلْب", "كلبة"),
        ("หี", "ไอ้หีนี่", "ไอ้นี่"),
    ],
)
def test_word_boundaries_follow_the_script(entry: str, found: str, clean: str) -> None:
    """Scripts with spaces have whole words; Korean words carry endings; others match anywhere."""
    words = WordList("w", (entry,))
    assert look(found, words)
    assert not look(clean, words)


def test_every_part_is_inspected_and_named() -> None:
    """Strings of custom payloads get their own findings under their own names, one per list."""
    report = INSPECTOR.inspect(subject(**{"text": "shit fuck", "custom:title": "ok", "custom:body": "fuck"}))
    assert [(found.part, found.spans) for found in report["profanity"]] == [
        ("text", (Span(0, 4), Span(5, 9))),
        ("custom:body", (Span(0, 4),)),
    ]
    assert report["profanity"][0].evidence == "shit, fuck"


def test_lists_that_share_an_entry_both_report_it() -> None:
    """One automaton serves all lists: each is named."""
    assert {finding.label for finding in look("x", WordList("a", ("x",)), WordList("b", ("x", "y")))} == {"a", "b"}


def test_bad_lists_are_refused() -> None:
    """An entry that folds to nothing, and two lists of one name, are errors that say so."""
    with pytest.raises(ValueError, match="list 'w': the entry '\\\\u200b' holds nothing"):
        WordsInspector.compile([WordList("w", ("\u200b",))])
    with pytest.raises(ValueError, match="same name"):
        WordsInspector.compile([WordList("w", ()), WordList("w", ())])


def test_no_lists_and_empty_lists_find_nothing() -> None:
    """A ruleset without words is fine."""
    assert look("anything", WordList("w", ())) == ()
    assert WordsInspector.compile([]).inspect(subject(text="anything")) == {}


TEXTS = st.text(
    st.characters(codec=None) | st.sampled_from("fuckFUCK.-*1! \u200b\u0336\u0301éß한👩\u200d🇫🇷ا"), max_size=40
)
ENTRIES = st.text(st.sampled_from("fuckéß한ا🇫🇷 "), min_size=1, max_size=4).filter(lambda entry: bool(entry.strip()))


@given(TEXTS, st.lists(ENTRIES, min_size=1, max_size=4), st.sampled_from(MatchMode))
def test_masks_of_findings_touch_nothing_else(text: str, entries: list[str], match: MatchMode) -> None:
    """For any text and list spans are sorted, in range and apart; outside of them the text is kept to the byte."""
    for finding in look(text, WordList("w", tuple(entries), match=match)):
        at = 0
        kept = []
        for start, end in finding.spans:
            assert at <= start < end <= len(text)
            kept.append(text[at:start])
            at = end
        kept.append(text[at:])
        assert mask(text, finding.spans, char="\U0010fffd", length=1) == "\U0010fffd".join(kept)


@given(TEXTS, st.lists(ENTRIES, min_size=1, max_size=4), st.sampled_from(MatchMode))
def test_a_mask_leaves_nothing_to_find(text: str, entries: list[str], match: MatchMode) -> None:
    """After masking the same list finds nothing in the places that were masked."""
    words = WordList("w", tuple(entries), match=match)
    for finding in look(text, words):
        masked = mask(text, finding.spans, char="\ufffd", length=1)
        positions = {at for at, char in enumerate(masked) if char == "\ufffd" and char not in text}
        for again in look(masked, words):
            assert not positions & {at for span in again.spans for at in range(*span)}


@pytest.mark.parametrize("length", [8_000, 65_536])
@pytest.mark.parametrize("unit", ["fuck ", "f.u.c.k ", "fuuuck", "f*ck ", "a*b", "x ", "é", "🖕", "sh1t ", "a\u0336"])
def test_long_texts_are_inspected(unit: str, length: int) -> None:
    """Texts at the size limit, full of hits or of tricks, take linear time (the suite's time limit says so)."""
    look((unit * length)[:length])


@pytest.mark.parametrize("offset", range(0, 3000, 97))
def test_hidden_words_are_found_anywhere_in_a_long_text(offset: int) -> None:
    """Long texts are guessed at in windows: no cut hides a word, and the span is where it was typed."""
    before = ("the classic peacock passes assessments, " * 100)[:offset].rpartition(" ")[0] + " "
    for hidden in ("f.u.c.k", "f u c k", "fuuuuck", "5h1t", "fυck"):
        (finding,) = look(f"{before}{hidden} and then analysis of a cocktail" + " in class" * 200)
        assert finding.spans == (Span(len(before), len(before) + len(hidden)),)


@pytest.mark.parametrize("unit", ["class", "an4lysis", "gla$$.", "pa-ss-", "ассасин", "ロマン", "gгass "])
def test_no_cut_of_a_long_text_makes_a_word(unit: str) -> None:
    """Cutting a long text into windows never turns the rest of a longer word into a hit."""
    for length in (1_500, 4_000, 9_000):
        assert look((unit * length)[:length] + "s") == ()


def test_threads_may_share_an_inspector() -> None:
    """Eight threads that read one automaton at once all see what one thread sees."""
    texts = [
        f"{before} f.u.c.k {after} shit" for before in ("a", "é", "x " * 300) for after in ("b", "한", "$h!t")
    ] * 20
    expected = [look(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(look, texts)) == expected


def test_a_large_list_is_found_in_every_part_and_freed_in_pieces() -> None:
    """Lists beyond one automaton's share work like small ones, and letting go of them ends."""
    words = tuple(f"entry{''.join(chr(97 + int(d)) for d in str(number))}" for number in range(20_000))
    inspector = WordsInspector.compile([WordList("many", words)])
    for text in (words[0], words[9_000], words[-1]):
        assert inspector.inspect(subject(text=text))["many"]
    index = inspector._index
    shards = index._words.shards
    assert len(shards) > 1
    del inspector, index
    for thread in threading.enumerate():
        if thread.name == "modgate-free":
            thread.join(20)
    assert shards == []
