"""What a newcomer would try first, with the rules and models that are shipped."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import skimage.data
from PIL import Image
from tests.e2e.serving import REPOSITORY, Server, bundles, needs_models

from modgate.v1 import moderation_pb2 as pb

WITHOUT = needs_models("text-en") or needs_models("open-nsfw") or needs_models("swiftformer-s")
pytestmark = [pytest.mark.e2e, pytest.mark.skipif(bool(WITHOUT), reason=WITHOUT)]

ALLOW, MASK, BLOCK = pb.VERDICT_ALLOW, pb.VERDICT_MASK, pb.VERDICT_BLOCK
PICTURES = REPOSITORY / "tests" / "data" / "images"


DEFAULT = REPOSITORY / "server" / "modgate" / "data" / "rules" / "default.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # What the models say is tested here, not how busy the machine is: hence the budget.
    rules = DEFAULT.read_text("utf-8").replace("version: 1\n", "version: 1\nbudget: {total_ms: 5000}\n", 1)
    with Server(tmp_path_factory.mktemp("newcomer"), {"models": {"bundles": bundles()}}, rules=rules) as server:
        server.ask("warm")
        yield server


def why(answer: pb.ModerateResponse) -> str:
    found = [f"{m.rule_id} {m.label} {m.score:.2f} by {m.evidence}" for m in answer.matches if not m.shadow]
    return f"{pb.Verdict.Name(answer.verdict)}: {', '.join(found)} {answer.fallback}"


HARMLESS = {
    "greetings": ["hi", "hello everyone", "good morning!", "hey, how are you?", "thanks a lot", "see you tomorrow :)"],
    "gaming": [
        "you killed it",
        "that boss is sick",
        "gg wp",
        "nice headshot!",
        "kill the boss first, then the adds",
        "this level is insane",
        "we got destroyed in the last round lol",
        "I'm dead, that was so funny",
    ],
    "Scunthorpe": [
        "I live in Scunthorpe",
        "a classic assassin",
        "Dick Van Dyke was great",
        "cocktail party tonight?",
        "my essay needs a better analysis",
        "Penistone and Clitheroe are towns",
        "she bought a Shitake mushroom",
    ],
    "identity": ["I'm gay and proud", "my two moms are coming to visit", "I am a Muslim woman from Berlin"],
    "everyday": ["can you send me the report by Friday?", "this traffic kills me", "I love this so much"],
    "odd": ["", " ", "🙂🎉🔥", "...", "שלום, מה שלומך היום?", "مرحبا كيف حالك", "こんにちは、元気ですか", "x" * 8_000],
    "long": ["The weather was fine and we walked along the river for an hour. " * 125],
}


@pytest.mark.parametrize(
    "text", [pytest.param(text, id=f"{kind}: {text[:40]}") for kind, texts in HARMLESS.items() for text in texts]
)
def test_what_is_harmless_goes_out(server: Server, text: str) -> None:
    """Ordinary messages of all kinds are delivered as they are, unflagged and undoubted."""
    answer = server.ask(text)
    assert (answer.verdict, answer.flagged, answer.HasField("fallback")) == (ALLOW, False, False), why(answer)


@pytest.mark.parametrize(
    "text",
    [
        "you are an idiot",
        "you're a worthless piece of garbage",
        "shut up you stupid moron",
        "nobody likes you, you pathetic loser",
        "I will kill you",
        "I'm going to find you and hurt you",
        "watch your back, I know where you live and I will stab you",
        "click http://evil.example/login to win",
        "visit www.evil.example now",
        "look at evil . example",
        "go to evil[.]example",
    ],
)
def test_insults_threats_and_bad_domains_are_blocked(server: Server, text: str) -> None:
    """Clear insults, threats and listed sites do not go out, however the address is disguised."""
    answer = server.ask(text)
    assert answer.verdict == BLOCK, why(answer)
    assert answer.sender_notice.notify


@pytest.mark.parametrize(
    "word",
    [
        "fuck",
        "FUCK",
        "f.u.c.k",
        "f u c k",
        "fυck",
        "f*ck",
        "fuuuuuck",
        "f\u200buck",
        "𝓯𝓾𝓬𝓴",
        "ｆｕｃｋ",
        "fu¢k",
        "sh1t",
    ],
)
def test_profanity_is_masked_however_it_is_written(server: Server, word: str) -> None:
    """Nothing of a swear word is left in what is delivered, and the rest of the message is."""
    answer = server.ask(f"oh {word} that hurts")
    assert answer.verdict == MASK, why(answer)
    assert answer.masked_text.startswith("oh *")
    assert answer.masked_text.endswith("* that hurts")


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("call me at +1 202 555 0143", "555"),
        ("my number is (202) 555-0143", "555"),
        ("reach me at ann@mail.com please", "ann@"),
    ],
)
def test_contact_details_are_masked(server: Server, text: str, secret: str) -> None:
    """A phone number or address is covered, the rest goes out."""
    answer = server.ask(text)
    assert answer.verdict == MASK, why(answer)
    assert secret not in answer.masked_text
    assert answer.masked_text[:5] == text[:5]


def picture(server: Server, data: bytes, mime_type: str = "image/png") -> pb.ModerateResponse:
    return server.ask("look", media=[pb.Media(id="p", mime_type=mime_type, data=data)])


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("open_nsfw_positive.png", "explicit-pictures"),
        ("swiftformer_nsfw_positive.png", "explicit-pictures"),
        ("swiftformer_nsfl_positive.png", "gore-pictures"),
    ],
)
def test_a_picture_that_a_model_objects_to_is_blocked(server: Server, name: str, rule: str) -> None:
    """Each image model can block by itself."""
    answer = picture(server, (PICTURES / name).read_bytes())
    assert answer.verdict == BLOCK, why(answer)
    assert rule in {match.rule_id for match in answer.matches}


@pytest.mark.parametrize("name", ["astronaut", "coffee", "chelsea", "rocket", "page"])
def test_a_harmless_photo_goes_out(server: Server, name: str) -> None:
    """A portrait, a cup, a cat, a rocket and a page of text are nobody's business."""
    encoded = io.BytesIO()
    Image.fromarray(getattr(skimage.data, name)()).save(encoded, "JPEG", quality=90)
    answer = picture(server, encoded.getvalue(), "image/jpeg")
    assert (answer.verdict, answer.flagged, answer.HasField("fallback")) == (ALLOW, False, False), why(answer)


def bomb() -> bytes:
    """Return a PNG of 30,000 x 20,000 black pixels in a few kilobytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    packer = zlib.compressobj(9)
    row = b"\0" * (1 + 30_000 // 8)
    pixels = b"".join(packer.compress(row) for _ in range(20_000)) + packer.flush()
    header = struct.pack(">IIBBBBB", 30_000, 20_000, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def truncated() -> bytes:
    astronaut: Callable[[], Any] = skimage.data.astronaut
    encoded = io.BytesIO()
    Image.fromarray(astronaut()).save(encoded, "JPEG")
    return encoded.getvalue()[:3_000]


@pytest.mark.parametrize(
    ("data", "kind"),
    [(truncated(), "image/jpeg"), (bomb(), "image/png"), (b"Dear all, this is a text file.\n", "image/png")],
    ids=["truncated JPEG", "600-megapixel PNG", "text file as PNG"],
)
def test_a_picture_that_cannot_be_read_is_an_error(server: Server, data: bytes, kind: str) -> None:
    """No crash, no delay: a verdict by fallback with reason ERROR, and the next message is unharmed."""
    answer = picture(server, data, kind)
    assert (answer.verdict, answer.fallback.reason) == (ALLOW, pb.FALLBACK_REASON_ERROR), why(answer)
    assert answer.timing.total.ToMilliseconds() < 1_000
    assert server.ask("hello").verdict == ALLOW


def test_the_command_line_gives_the_same_answers(server: Server, tmp_path: Path) -> None:
    """`modgate check` in process and against the server agree."""
    from typer.testing import CliRunner  # noqa: PLC0415 - only here

    from modgate.cli.app import app  # noqa: PLC0415 - only here

    del tmp_path
    for text in ("hello", "what the fuck", "I will kill you"):
        shown = CliRunner().invoke(app, ["check", text, "--server", server.address]).output.splitlines()[0]
        assert shown.split(",")[0] == pb.Verdict.Name(server.ask(text).verdict).removeprefix("VERDICT_")
