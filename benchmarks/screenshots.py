"""Text in pictures: how much of what is planted in rendered screenshots is found, and within which time.

Renders chat screenshots in five fonts, plants a swear word, a phone number and a listed domain in each, decodes and
reads them under the message's budget, and asks the real text detectors what they see. Screenshots without anything
planted show how often reading errors make something up. Seeded: the same pictures every time.
"""

import argparse
import io
import json
import os
import platform
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import phonenumbers
from PIL import Image, ImageDraw, ImageFont

from modgate.detectors.base import CheapInspector, Subject
from modgate.detectors.domains import DomainDetector, DomainQuestion
from modgate.detectors.ocr import OcrReader
from modgate.detectors.pii import PiiDetector, PiiQuestion
from modgate.detectors.words import WordsInspector
from modgate.detectors.words_files import shipped
from modgate.inference.bundle import Bundle
from modgate.media.decode import decode
from modgate.media.errors import MediaError
from modgate.media.limits import Limits
from modgate.message import Conversation, Message, Sender

_BUNDLE = Path(__file__).parents[1] / "models" / "bundles" / "pp-ocrv6-tiny"
_FONTS = ("DejaVuSans.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf", "DejaVuSans-Bold.ttf", "STIXGeneral.ttf")
_SMALL_TALK = (
    "Hey, are you there?", "See you tomorrow at 5", "lol ok", "What a day...", "Did you watch the game?", "brb",
    "I will bring the cake", "Good night everyone", "That boss is so hard", "On my way!", "Can you send the photo?",
    "Happy birthday!!", "no idea, ask Tom", "The train is late again", "ok cool", "Where do we meet?", "haha nice one",
    "Let me check with her", "It was great, thanks", "We need more milk",
)  # fmt: skip
_DOMAINS = ("evil.example", "cheap-pills.example", "free-coins.example", "win-a-phone.example", "scam.example")
_WORD_FRAMES = ("you are a {}", "what a {} move", "oh {} off", "this is {} again", "{}!")
_DOMAIN_FRAMES = ("look at https://{}/now", "go to {}", "www.{} has it", "register: http://{}/?ref=1")
_PHONE_FRAMES = ("call me {}", "my number is {}", "text {} tonight", "WhatsApp: {}")


def _phone(rng: random.Random) -> str:
    while True:
        number = phonenumbers.PhoneNumber(1, rng.randrange(2_010_000_000, 9_899_999_999))
        if phonenumbers.is_valid_number(number):
            kind = phonenumbers.PhoneNumberFormat.INTERNATIONAL
            return phonenumbers.format_number(number, kind)


def _render(lines: Sequence[str], font: str, rng: random.Random) -> bytes:
    """Draw bubbles left and right, as chat applications do."""
    width, height = rng.choice(((720, 1280), (1080, 1920), (800, 1000)))
    size = rng.randrange(24, 36) * width // 720
    dark = rng.random() < 0.4
    image = Image.new("RGB", (width, height), (20, 24, 28) if dark else (236, 229, 221))
    draw = ImageDraw.Draw(image)
    face = ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / font), size)
    y = 2 * size
    for line in lines:
        long = draw.textlength(line, font=face)
        while long > width - 3 * size:
            face = ImageFont.truetype(face.path, face.size - 2)
            long = draw.textlength(line, font=face)
        mine = rng.random() < 0.5
        x = width - long - 1.4 * size if mine else 1.4 * size
        bubble = ((0, 92, 75) if mine else (32, 44, 51)) if dark else ((217, 253, 211) if mine else (255, 255, 255))
        draw.rounded_rectangle((x - 0.6 * size, y - 0.4 * size, x + long + 0.6 * size, y + 1.5 * size), 12, fill=bubble)
        draw.text((x, y), line, font=face, fill=(233, 237, 239) if dark else (17, 27, 33))
        y += int(2.5 * size)
    buffer = io.BytesIO()
    if rng.random() < 0.5:
        image.save(buffer, "PNG")
    else:
        image.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _inspectors() -> dict[str, CheapInspector]:
    return {
        "word": WordsInspector.compile([replace(shipped("profanity-en"), name="word")]),
        "phone": PiiDetector().configure([PiiQuestion("phone")]),
        "domain": DomainDetector().configure([DomainQuestion("domain", _DOMAINS)]),
    }


def _planted(rng: random.Random) -> dict[str, str]:
    words = ("asshole", "bullshit", "wanker", "fuck", "shit", "bitch", "dickhead", "bastard", "douchebag", "cunt")
    return {
        "word": rng.choice(_WORD_FRAMES).format(rng.choice(words)),
        "phone": rng.choice(_PHONE_FRAMES).format(_phone(rng)),
        "domain": rng.choice(_DOMAIN_FRAMES).format(rng.choice(_DOMAINS)),
    }


def _measure(count: int, clean: int, budget: float, seed: int) -> dict[str, Any]:
    rng = random.Random(seed)
    reader = OcrReader(Bundle.load(_BUNDLE))
    inspectors = _inspectors()
    planted, found, invented = Counter[str](), Counter[str](), Counter[str]()
    by_font = {font: Counter[str]() for font in _FONTS}
    times: list[float] = []
    late = partial = 0
    limits = Limits()
    for index in range(-3, count + clean):  # three to warm up
        font = _FONTS[index % len(_FONTS)]
        items = _planted(rng) if index < count else {}
        lines = rng.sample(_SMALL_TALK, rng.randrange(3, 8))
        for line in items.values():
            lines.insert(rng.randrange(len(lines) + 1), line)
        data = _render(lines, font, rng)
        begun = time.monotonic()
        try:
            reading = reader.read(decode(data, begun + budget, limits).frames[0], begun + budget)
        except MediaError:
            text, complete = "", False
        else:
            text, complete = reading.text, not reading.late
        if index < 0:
            continue
        times.append(time.monotonic() - begun)
        late += times[-1] > budget
        partial += not complete
        subject = Subject(Message("", "", Sender(""), Conversation("")), {"ocr:0": text}, 0.0)
        for kind, inspector in inspectors.items():
            hit = bool(inspector.inspect(subject))
            if kind in items:
                planted[kind] += 1
                found[kind] += hit
                by_font[font].update({"planted": 1, "found": hit})
            else:
                invented[kind] += hit
    ordered = sorted(times)
    share = sum(found.values()) / sum(planted.values())
    return {
        "screenshots": count,
        "budget_ms": budget * 1000,
        "found": {kind: f"{found[kind]}/{planted[kind]}" for kind in planted},
        "share_found": round(share, 3),
        "by_font": {font: f"{c['found']}/{c['planted']}" for font, c in by_font.items()},
        "invented": {"screenshots": clean, **invented},
        "read_in_part": partial,
        "ms": {
            name: round(1000 * ordered[min(len(ordered) - 1, int(q * len(ordered)))], 1)
            for name, q in (("p50", 0.5), ("p95", 0.95), ("max", 1.0))
        },
        "late": late,
    }


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether nine in ten items were found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks screenshots", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=100, help="screenshots with something planted")
    parser.add_argument("--clean", type=int, default=50, help="screenshots with small talk only")
    parser.add_argument("--budget", type=float, default=190.0, help="milliseconds for decoding and reading")
    parser.add_argument("--seed", type=int, default=6)
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args(argv)
    report = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        **_measure(options.count, options.clean, options.budget / 1000, options.seed),
    }
    print(json.dumps(report, indent=2))
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report["share_found"] >= 0.9 else 1
