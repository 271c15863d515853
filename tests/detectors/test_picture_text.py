"""Text in pictures, judged by the rules of the message's own text: from a picture to a verdict."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import matplotlib as mpl
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.media.pictures import BUNDLES, encode, picture_bytes

from modgate.detectors.cheap import cheap_detectors
from modgate.detectors.ocr import OcrReader
from modgate.detectors.picture_text import PictureTexts, with_picture_text
from modgate.gate.decision import Decision, FallbackReason
from modgate.gate.judge import Gate
from modgate.inference.bundle import Bundle, read_manifest
from modgate.media.decode import distinct
from modgate.media.pool import DecodePool
from modgate.media.viewer import Viewer
from modgate.message import Conversation, Media, Message, Sender
from modgate.rules import Ruleset, compile_ruleset, parse_document
from modgate.rules.ruleset import AllOf, AnyOf, Leaf, Not, Verdict

RULES = """\
version: 1
lists:
  bad: {kind: words, entries: [badword]}
  sites: {kind: domains, entries: [evil.example]}
rules:
  - {id: words, when: {words: {list: bad}}, then: {action: block}}
  - {id: contact, when: {all: [{pii: [phone]}, {domain: {list: sites}}]}, then: {action: mask, flag: true}}
  - {id: clean, mode: shadow, when: {not: {words: {list: bad}}}, then: {action: allow}}
"""
FONT = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), 30)


@pytest.fixture(scope="module")
def reader() -> OcrReader:
    folder = BUNDLES / "pp-ocrv6-tiny"
    if not (folder / read_manifest(folder).model).exists() and not os.environ.get("CI"):
        pytest.skip("weights are missing: modgate models fetch pp-ocrv6-tiny")
    return OcrReader(Bundle.load(folder))


@pytest.fixture
def pool() -> Iterator[DecodePool]:
    pool = DecodePool(2)
    yield pool
    pool.close()


@pytest.fixture
def texts(reader: OcrReader, pool: DecodePool) -> PictureTexts:
    return PictureTexts(reader, Viewer(pool), pool)


@pytest.fixture
def ruleset(texts: PictureTexts) -> Ruleset:
    return with_picture_text(compile_ruleset(parse_document("rules.yaml", RULES), cheap_detectors()), texts)


def _screenshot(*lines: str) -> Media:
    image = Image.new("RGB", (640, 60 + 60 * len(lines)), "white")
    for index, line in enumerate(lines):
        ImageDraw.Draw(image).text((30, 30 + 60 * index), line, fill="black", font=FONT)
    return Media("shot", "image/png", encode(image))


async def _judge(ruleset: Ruleset, text: str, *media: Media, seconds: float = 30.0) -> Decision:
    now = time.monotonic()
    message = Message("1", text, Sender("s"), Conversation("c"), media=media)
    return await Gate(ruleset).judge(message, arrived=now, deadline=now + seconds, explain=True)


async def test_a_word_in_a_picture_is_a_hit(ruleset: Ruleset) -> None:
    """A listed word in a screenshot makes the rule true; the match names the picture and marks the word in its text."""
    decision = await _judge(ruleset, "look", _screenshot("hello there", "you badword"))
    assert decision.verdict is Verdict.BLOCK
    (match,) = [match for match in decision.matches if match.rule_id == "words"]
    assert (match.detector, match.label, match.part) == ("ocr_words", "bad", "ocr:shot")
    (span,) = match.spans
    assert "hello there\nyou badword"[span.start : span.end] == "badword"


async def test_an_animation_is_read_where_most_is_written(ruleset: Ruleset) -> None:
    """The caption of an animation is found, though it is not on the first frame."""
    plain = Image.new("RGB", (640, 180), "white")
    caption = plain.copy()
    ImageDraw.Draw(caption).rectangle((0, 0, 640, 180), fill="black")
    ImageDraw.Draw(caption).text((30, 60), "this badword again", fill="white", font=FONT)
    data = encode(plain, "WEBP", save_all=True, append_images=[caption], lossless=True, duration=500)
    assert (await _judge(ruleset, "", Media("m", "image/webp", data))).verdict is Verdict.BLOCK


async def test_a_small_caption_on_a_later_frame_is_read(ruleset: Ruleset) -> None:
    """Frames that look alike to the classifiers are all candidates for reading."""
    scene = Image.new("RGB", (640, 480), "grey")
    caption = scene.copy()
    ImageDraw.Draw(caption).text((30, 420), "badword", fill="white", font=FONT)
    assert len(distinct([scene, caption])) == 1
    data = encode(scene, "WEBP", save_all=True, append_images=[caption], lossless=True, duration=500)
    assert (await _judge(ruleset, "", Media("m", "image/webp", data))).verdict is Verdict.BLOCK


async def test_conditions_join_text_and_picture(ruleset: Ruleset) -> None:
    """A number in the text and a domain in the picture make `all` true together; a mask cannot cover a picture."""
    decision = await _judge(ruleset, "call +1 415 555 2671", _screenshot("then visit evil.example"))
    assert decision.verdict is Verdict.BLOCK
    assert decision.flagged
    found = {(match.detector, match.part) for match in decision.matches if match.rule_id == "contact"}
    assert found == {("pii", "text"), ("ocr_domain", "ocr:shot")}


async def test_a_negation_covers_pictures(ruleset: Ruleset) -> None:
    """`not` holds only if neither text nor picture has a hit."""
    clean = await _judge(ruleset, "look", _screenshot("good evening"))
    assert {trace.rule_id: trace.outcome.value for trace in clean.traces}["clean"] == "true"
    dirty = await _judge(ruleset, "look", _screenshot("a badword"))
    assert {trace.rule_id: trace.outcome.value for trace in dirty.traces}["clean"] == "false"


async def test_messages_without_pictures_wait_for_nothing(ruleset: Ruleset, texts: PictureTexts) -> None:
    """A message without media is decided by its text alone."""
    decision = await _judge(ruleset, "hello")
    assert (decision.verdict, decision.fallback) == (Verdict.ALLOW, None)
    assert (await _judge(ruleset, "hello", Media("v", "audio/ogg", b"OggS"))).fallback is None
    assert texts.cache.misses == 0


async def test_a_photograph_is_clean(ruleset: Ruleset) -> None:
    """A photograph without text changes nothing, and is read once."""
    photo = Media("p", "image/png", picture_bytes("chelsea.png"))
    for _ in range(2):
        decision = await _judge(ruleset, "my cat", photo)
        assert (decision.verdict, decision.fallback) == (Verdict.ALLOW, None)


async def test_unreadable_and_late_pictures_fall_back(ruleset: Ruleset) -> None:
    """A picture that cannot be read, or not in time, leaves the rules that ask for text open, and says so."""
    broken = await _judge(ruleset, "hello", Media("x", "image/png", b"no picture"))
    assert broken.fallback is not None
    assert broken.fallback.reason is FallbackReason.ERROR
    assert "ocr_words" in broken.fallback.unfinished
    late = await _judge(ruleset, "hello", _screenshot("a badword"), seconds=0.002)
    assert late.fallback is not None
    assert late.fallback.reason is FallbackReason.TIMEOUT


async def test_one_reading_serves_all_rules(ruleset: Ruleset, texts: PictureTexts) -> None:
    """However many conditions and equal pictures there are at once, a picture is read once."""
    shot = _screenshot("visit evil.example, +1 415 555 2671")
    decisions = await asyncio.gather(*(_judge(ruleset, "hi", shot) for _ in range(4)))
    assert {decision.verdict for decision in decisions} == {Verdict.BLOCK}
    assert texts.cache.misses == 1


def test_every_text_leaf_has_a_twin(ruleset: Ruleset) -> None:
    """Each text condition is paired with its twin wherever it stands, and leaves keep their places."""
    assert [leaf.index for leaf in ruleset.leaves] == list(range(len(ruleset.leaves)))
    words, contact, clean = (rule.when for rule in ruleset.rules)
    assert isinstance(words, AnyOf)
    assert [leaf.detector for leaf in words.children if isinstance(leaf, Leaf)] == ["words", "ocr_words"]
    assert isinstance(contact, AllOf)
    assert all(isinstance(child, AnyOf) for child in contact.children)
    assert isinstance(clean, Not)
    assert clean.child == words
    assert ruleset.rules[0].detectors == {"words", "ocr_words"}
    assert ruleset.inspections["ocr_pii"].media_only
