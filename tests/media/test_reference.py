"""Media by reference: allowed places are fetched from, and nobody makes the server reach anything else."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.media.pictures import DirectModel, picture_bytes, soon

from modgate.detectors.image import ImageDetector
from modgate.media.errors import MediaError, MediaProblem
from modgate.media.pool import DecodePool
from modgate.media.reference import AllowedHost, References, is_public
from modgate.media.viewer import Viewer
from modgate.message import Media

BODY = b"picture" * 100
CHUNKED = b"\r\n".join(
    (b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", b"", b"bc;x=1", BODY[:188], b"200", BODY[188:], b"0", b"", b"")
)


@asynccontextmanager
async def _server(answer: bytes) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A real server on this machine that gives one answer to everything; yields its port and what it was asked."""
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], asked


def _ok(body: bytes = BODY, *fields: str) -> bytes:
    head = "\r\n".join(("HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields, "", ""))
    return head.encode() + body


def _to(port: int, **options: Any) -> References:
    return References([AllowedHost.parse(f"private+http://127.0.0.1:{port}")], **options)


async def _problem(references: References, uri: str, seconds: float = 5.0) -> MediaProblem:
    with pytest.raises(MediaError) as error:
        await references.fetch(uri, time.monotonic() + seconds)
    return error.value.problem


async def test_an_allowed_host_is_fetched_from() -> None:
    """A file of an allowed host arrives whole; nothing of the server's own is sent along."""
    async with _server(_ok()) as (port, asked):
        assert await _to(port).fetch(f"http://127.0.0.1:{port}/a/b.png?x=1", soon()) == BODY
    (request,) = asked
    assert request.startswith(b"GET /a/b.png?x=1 HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"ookie" not in request
    assert b"uthorization" not in request


@pytest.mark.parametrize(
    "answer",
    [
        CHUNKED,
        b"HTTP/1.0 200 OK\r\n\r\n" + BODY,
    ],
    ids=["chunked", "until-end"],
)
async def test_other_ways_to_send_a_body(answer: bytes) -> None:
    """Bodies in chunks and bodies that end with the connection arrive whole, too."""
    async with _server(answer) as (port, _):
        assert await _to(port).fetch(f"http://127.0.0.1:{port}/", soon()) == BODY


@pytest.mark.parametrize(
    "uri",
    [
        "http://localhost:{port}/",
        "http://127.0.0.1/",
        "http://127.0.0.1:1/",
        "https://127.0.0.1:{port}/",
        "http://user:secret@127.0.0.1:{port}/",
        "http://127.0.0.1:{port}@evil.example/",
        "http://127.0.0.1:{port}.evil.example/",
        "http://0x7f000001:{port}/",
        "http://2130706433:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "ftp://127.0.0.1:{port}/",
        "gopher://127.0.0.1:{port}/",
        "//127.0.0.1:{port}/",
        "http:///",
        "http://127.0.0.1:{port}/a b",
        "http://127.0.0.1:{port}/\r\nHost: evil.example",
        "http://127.0.0.1:99999/",
        "file:///etc/passwd",
        "file://127.0.0.1/etc/passwd",
        "",
    ],
)
async def test_what_is_not_on_the_list_is_refused(uri: str) -> None:
    """Another host, port, scheme or spelling is refused without a connection."""
    async with _server(_ok()) as (port, asked):
        assert await _problem(_to(port), uri.format(port=port)) is MediaProblem.REFUSED
    assert asked == []


async def test_a_public_host_must_have_public_addresses() -> None:
    """A listed name that leads to a private address is refused, unless the list says that it is a private host."""
    async with _server(_ok()) as (port, asked):
        listed = References([AllowedHost.parse(f"http://localhost:{port}")])
        assert await _problem(listed, f"http://localhost:{port}/") is MediaProblem.REFUSED
        assert asked == []


async def test_one_bad_address_of_several_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a public and a private address is refused, whichever comes first."""

    async def resolve(*_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("93.184.215.14", "10.0.0.1")]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    listed = References([AllowedHost.parse("http://cdn.example")])
    assert await _problem(listed, "http://cdn.example/") is MediaProblem.REFUSED


async def test_the_connection_goes_to_the_address_that_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that changes its address after the check (DNS rebinding) is connected to where it was checked."""
    opened: list[object] = []
    resolved: list[object] = []

    async def resolve(host: object, *_: object, **__: object) -> list[Any]:
        resolved.append(host)
        address = "93.184.215.14" if len(resolved) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80))]

    async def connect(host: object, *_: object, **__: object) -> Any:
        opened.append(host)
        raise ConnectionRefusedError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    monkeypatch.setattr(asyncio, "open_connection", connect)
    listed = References([AllowedHost.parse("http://cdn.example")])
    assert await _problem(listed, "http://cdn.example/") is MediaProblem.UNREACHABLE
    assert (resolved, opened) == (["cdn.example"], ["93.184.215.14"])


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "404 Not Found", "500 Oops", "206 Part"])
async def test_redirects_and_errors_are_not_followed(status: str) -> None:
    """Nothing but 200 is taken, and a redirect leads nowhere."""
    async with _server(b"") as (elsewhere, asked_elsewhere):
        answer = f"HTTP/1.1 {status}\r\nLocation: http://127.0.0.1:{elsewhere}/\r\nContent-Length: 0\r\n\r\n".encode()
        async with _server(answer) as (port, asked):
            assert await _problem(_to(port), f"http://127.0.0.1:{port}/") is MediaProblem.UNREACHABLE
        assert len(asked) == 1
        assert asked_elsewhere == []


@pytest.mark.parametrize(
    "answer",
    [
        _ok(b"x" * 2000),
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 2000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n" + b"x" * 2000,
    ],
    ids=["length", "until-end", "chunked"],
)
async def test_size_is_bounded(answer: bytes) -> None:
    """A body over the limit is refused, whether its size was announced or not."""
    async with _server(answer) as (port, _):
        references = _to(port, file_bytes=1000)
        assert await _problem(references, f"http://127.0.0.1:{port}/") is MediaProblem.TOO_MANY_BYTES


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        _ok()[:-10],
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        _ok(BODY, "Content-Encoding: gzip"),
    ],
)
async def test_broken_answers_are_unreachable(answer: bytes) -> None:
    """What is no whole HTTP answer is an error of the host, and nothing else."""
    async with _server(answer) as (port, _):
        with pytest.raises(MediaError) as error:
            await _to(port).fetch(f"http://127.0.0.1:{port}/", soon())
        assert error.value.problem in (MediaProblem.UNREACHABLE, MediaProblem.DAMAGED)


async def test_slow_hosts_run_into_the_deadline() -> None:
    """A host that does not answer costs no more than the budget."""
    listening = socket.create_server(("127.0.0.1", 0))
    port = listening.getsockname()[1]
    assert await _problem(_to(port), f"http://127.0.0.1:{port}/", 0.05) is MediaProblem.DEADLINE
    listening.close()


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.1.2.3", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("ff02::1", False),
        ("::ffff:169.254.169.254", False),
        ("64:ff9b::a9fe:a9fe", False),
        ("2002:7f00:1::", False),
        ("2002:a00:1::", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:  # noqa: FBT001  a truth table
    """Loopback, private, link-local, shared, multicast and metadata addresses are not public, wrapped or not."""
    assert is_public(address) is public


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a b.png").write_bytes(BODY)
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "media" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "media-other").mkdir()
    (tmp_path / "media-other" / "x").write_bytes(b"x")
    os.mkfifo(tmp_path / "media" / "pipe")
    return tmp_path


async def test_files_of_an_allowed_folder(folders: Path) -> None:
    """A file below an allowed folder is read."""
    references = References([], [folders / "media"])
    assert await references.fetch(f"file://{folders}/media/a%20b.png", soon()) == BODY


@pytest.mark.parametrize(
    "path",
    [
        "secret",
        "media/link",
        "media/../secret",
        "media/%2e%2e/secret",
        "media-other/x",
        "media",
        "media/pipe",
        "media/absent",
        "media/a%00b",
    ],
)
async def test_files_elsewhere_are_refused(folders: Path, path: str) -> None:
    """Links, dots, neighbours with a like name, folders, pipes and absent files are all refused alike."""
    references = References([], [folders / "media"])
    assert await _problem(references, f"file://{folders}/{path}") is MediaProblem.REFUSED


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cdn.example.com", AllowedHost("https", "cdn.example.com", 443)),
        ("https://CDN.example.com.:8443/", AllowedHost("https", "cdn.example.com", 8443)),
        ("private+http://minio:9000", AllowedHost("http", "minio", 9000, private=True)),
    ],
)
def test_hosts_are_written_simply(text: str, expected: AllowedHost) -> None:
    """A host is a name, with a scheme and a port where they differ from HTTPS."""
    assert AllowedHost.parse(text) == expected


@pytest.mark.parametrize("text", ["", "ftp://x", "https://x/path", "https://u:p@x", "http://"])
def test_what_is_no_host_is_refused(text: str) -> None:
    """What is no host is refused with an example."""
    with pytest.raises(ValueError, match="is no host; write cdn"):
        AllowedHost.parse(text)


async def test_a_picture_by_reference_is_judged() -> None:
    """A picture that is only named is fetched once for all who look at it, and judged; without a list it is refused."""
    data = picture_bytes("open_nsfw_positive.png")
    pool = DecodePool(1)
    async with _server(_ok(data)) as (port, asked):
        media = Media("m", "image/png", b"", f"http://127.0.0.1:{port}/x.png")
        viewer = Viewer(pool, references=_to(port))
        detector = ImageDetector([DirectModel("open-nsfw")], viewer)
        judgements = await asyncio.gather(*(detector.judge(media, soon()) for _ in range(3)))
        assert [round(one.scores["explicit_nudity"].value, 2) for one in judgements] == [0.98] * 3
        assert len(asked) == 1
        closed = await ImageDetector([DirectModel("open-nsfw")], Viewer(pool)).judge(media, soon())
        assert isinstance(closed.problem, MediaError)
        assert closed.problem.problem is MediaProblem.REFUSED
    pool.close()
