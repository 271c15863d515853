"""Lists of known pictures: copies are found, other pictures are not, and mistakes in a list are named."""

import hashlib
import io
from collections.abc import Iterator

import pytest
from PIL import Image
from tests.media.pictures import encode, picture_bytes, soon

from modgate.detectors.base import DetectorError, Problem, Report, Subject
from modgate.detectors.known_pictures import KnownPictureDetector, describe
from modgate.detectors.questions import PictureList
from modgate.gate.judge import Gate
from modgate.media.pdq import pdq
from modgate.media.pool import DecodePool
from modgate.media.viewer import Viewer
from modgate.message import Conversation, Media, Message, Sender
from modgate.rules import compile_ruleset, parse_document
from modgate.rules.ruleset import Verdict

CAT = Image.open(io.BytesIO(picture_bytes("chelsea.png"))).convert("RGB")
COFFEE = picture_bytes("coffee.png")


@pytest.fixture
def detector() -> Iterator[KnownPictureDetector]:
    pool = DecodePool(2)
    yield KnownPictureDetector(Viewer(pool))
    pool.close()


def _listed() -> PictureList:
    return PictureList("banned", (f"pdq:{pdq(CAT).hex}  our cat", f"sha256:{'ab' * 32}"))


async def _inspect(detector: KnownPictureDetector, lists: list[PictureList], *pictures: bytes) -> Report:
    media = tuple(Media(f"m{index}", "image/png", data) for index, data in enumerate(pictures))
    subject = Subject(Message("1", "", Sender("s"), Conversation("c"), media=media), {}, 0.0)
    return await detector.configure(lists).inspect(subject, soon())


@pytest.mark.parametrize(
    "copy",
    [
        encode(CAT, "JPEG", quality=40),
        encode(CAT.resize((200, 140)), "WEBP"),
        encode(CAT.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
        encode(CAT.transpose(Image.Transpose.ROTATE_90), "JPEG"),
    ],
    ids=["recompressed", "small", "mirrored", "turned"],
)
async def test_copies_are_found(detector: KnownPictureDetector, copy: bytes) -> None:
    """A copy is found by likeness, with how far it is from the entry."""
    report = await _inspect(detector, [_listed()], copy)
    (finding,) = report["banned"]
    assert finding.score > 0.87
    assert finding.part == "media:m0"
    assert finding.evidence.startswith("pdq, ")


async def test_other_pictures_are_not(detector: KnownPictureDetector) -> None:
    """Other pictures are on no list, and each picture of a message is looked up."""
    assert await _inspect(detector, [_listed()], COFFEE) == {}
    report = await _inspect(detector, [_listed()], COFFEE, encode(CAT))
    assert [finding.part for finding in report["banned"]] == ["media:m1"]


async def test_exact_bytes_are_found(detector: KnownPictureDetector) -> None:
    """A SHA-256 entry finds the very bytes, picture or not, and nothing that is only alike."""
    lists = [PictureList("exact", tuple(f"sha256:{hashlib.sha256(d).hexdigest()}" for d in (COFFEE, b"a file")))]
    report = await _inspect(detector, lists, COFFEE, b"a file", encode(Image.open(io.BytesIO(COFFEE))))
    assert [(finding.part, finding.score) for finding in report["exact"]] == [("media:m0", 1.0), ("media:m1", 1.0)]


async def test_lists_have_their_own_names_and_distances(detector: KnownPictureDetector) -> None:
    """Each list answers for itself: with no bit to spare a recompressed copy is not on it."""
    entry = f"pdq:{pdq(CAT).hex}"
    lists = [PictureList("strict", (entry,), within=0), PictureList("wide", (entry,), within=31)]
    report = await _inspect(detector, lists, encode(CAT.resize((150, 100)), "JPEG", quality=20))
    assert set(report) == {"wide"}


async def test_plain_pictures_match_nothing(detector: KnownPictureDetector) -> None:
    """A picture without structure is on no list of likenesses, even if its hash is."""
    plain = Image.new("RGB", (300, 300), (127, 127, 127))
    lists = [PictureList("plain", (pdq(plain).hex,))]
    assert await _inspect(detector, lists, encode(plain)) == {}


async def test_unreadable_pictures_are_errors(detector: KnownPictureDetector) -> None:
    """A picture that cannot be decoded leaves the question open; what others gave stands."""
    with pytest.raises(DetectorError) as error:
        await _inspect(detector, [_listed()], b"no picture", encode(CAT))
    assert error.value.problem is Problem.ERROR
    assert [finding.part for finding in error.value.partial["banned"]] == ["media:m1"]


@pytest.mark.parametrize("entry", ["pdq:123", "md5:" + "0" * 32, "z" * 64])
def test_what_is_no_hash_is_refused(detector: KnownPictureDetector, entry: str) -> None:
    """An entry that is no hash is refused with the list's name and how to write one."""
    with pytest.raises(ValueError, match=r"list 'banned': .* is no picture hash; write pdq:"):
        detector.configure([PictureList("banned", (entry,))])


async def test_described_pictures_can_be_listed(detector: KnownPictureDetector) -> None:
    """The lines that describe a picture are entries that find it."""
    data = encode(CAT)
    entries = tuple(describe(data, pdq(CAT)).splitlines())
    assert len((await _inspect(detector, [PictureList("mine", entries)], data))["mine"]) == 2


async def test_rules_ask_for_lists(detector: KnownPictureDetector) -> None:
    """A rule file names a list of hashes, and a rule asks whether a picture is on it."""
    text = f"""\
version: 1
lists:
  banned: {{kind: pictures, entries: ["pdq:{pdq(CAT).hex} our cat"]}}
rules:
  - {{id: r, when: {{known_picture: {{list: banned}}}}, then: {{action: block}}}}
"""
    ruleset = compile_ruleset(parse_document("rules.yaml", text), {"known_picture": detector})
    message = Message("1", "", Sender("s"), Conversation("c"), media=(Media("m", "", encode(CAT.resize((300, 200)))),))
    decision = await Gate(ruleset).judge(message, arrived=soon() - 30, deadline=soon())
    assert decision.verdict is Verdict.BLOCK
    assert [(match.detector, match.label) for match in decision.matches] == [("known_picture", "banned")]
