"""Domains: listed, not listed, disguised."""

import pytest

from modgate.detectors.base import Report, Span, Subject
from modgate.detectors.domains import DomainDetector, DomainQuestion, fold_host
from modgate.message import Conversation, Message, Sender

BAD = DomainQuestion("bad", ("evil.example", "*.scam.example", "https://bad.co.uk/", "bücher.example"))
GOOD = DomainQuestion("good", ("ours.com", "gov.uk"), listed=False)


def look(text: str, *questions: DomainQuestion) -> Report:
    subject = Subject(Message("m", text, Sender("u"), Conversation("c")), {"text": text}, 0.0)
    return DomainDetector().configure(questions or (BAD,)).inspect(subject)


def spans(report: Report, label: str) -> tuple[Span, ...]:
    return tuple(span for finding in report.get(label, ()) for span in finding.spans)


@pytest.mark.parametrize("example", DomainDetector.examples, ids=lambda e: e.why)
def test_documented_examples_hold(example: object) -> None:
    """What the docs show is what happens."""
    assert spans(look(example.text), example.label) == example.spans  # type: ignore[attr-defined]  # an Example


@pytest.mark.parametrize(
    "text",
    [
        "evil.example",
        "EVIL.EXAMPLE!",
        "(evil.example)",
        "a.b.c.evil.example/path?q=1#x",
        "http://user@evil.example:8080/",
        "https://google.com@evil.example/",
        "joe@evil.example",
        "hxxps://evil[.]example/x",
        "evil(dot)example",
        "evil 。example",
        "evil．example",
        "ｅｖｉｌ.example",
        "www.scam.example.",
        "bad.co.uk",
        "xn--bcher-kva.example",
        "bücher.example",
        "bucher.example",
        "evi1.example",
        "ev\u200bil.example",
        "see evil.example, then come back",
    ],
)
def test_listed_domains_are_found_however_they_are_written(text: str) -> None:
    """Case, paths, ports, user parts, subdomains, punycode and disguises change nothing."""
    assert spans(look(text), "bad"), text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "evilexample",
        "notevil.example",
        "evil.example.com",
        "evil.",
        "example",
        "3.14",
        "...",
        "e.g. this",
        "co.uk",
    ],
)
def test_other_hosts_are_left_alone(text: str) -> None:
    """A name that merely contains a listed one is another name."""
    assert not look(text), text


def test_the_span_covers_the_whole_address() -> None:
    """A mask hides scheme and path as well, and leaves the punctuation after it."""
    text = "go (https://evil.example/a?b=c), ok"
    (span,) = spans(look(text), "bad")
    assert text[span.start : span.end] == "https://evil.example/a?b=c"


@pytest.mark.parametrize(
    "text", ["https://ours.com/x", "shop.ours.com", "www.gov.uk", "hello. there", "main.py is ok.so what"]
)
def test_only_listed_domains_are_allowed_and_prose_is_no_domain(text: str) -> None:
    """An allow list lets its own domains and everything that is no address pass."""
    assert not look(text, GOOD), text


@pytest.mark.parametrize(
    "text", ["google.com", "http://a.so/x", "www.bbc.co.uk", "evil . com", "evil dot com", "ours.com.evil.net"]
)
def test_domains_that_are_not_listed_are_found(text: str) -> None:
    """Anything else with a public suffix is a foreign domain."""
    assert spans(look(text, GOOD), "good"), text


def test_an_entry_that_is_no_domain_is_refused() -> None:
    """A path or a sentence among the entries is a mistake, told with an example."""
    with pytest.raises(ValueError, match="is not a domain; write"):
        look("", DomainQuestion("x", ("evil.example/path",)))


def test_punycode_and_width_fold_to_one_name() -> None:
    """The same host has one canonical form."""
    assert fold_host("XN--BCHER-KVA.Example.") == fold_host("ｂücher。example") == "bücher.example"
