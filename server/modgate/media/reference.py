"""Media by reference: fetching a file that a gateway only names, from allowed hosts and folders and nowhere else.

Who can make a server fetch an address can make it reach what only the server can reach. So:

- Hosts are on a list, exactly; the port is that of the list. Names and passwords in an address are refused.
- The name is resolved here, once, and the connection goes to the address that was checked: a name that resolves to
  something else a moment later (DNS rebinding) changes nothing. Every address must be public, unless the list says that
  the host is a private one.
- HTTPS with the system's authorities, unless the list says `http://`. Redirects are refused, proxies of the environment
  are not used, cookies and credentials are never sent, compressed bodies are not asked for.
- Folders are on a list; a path is resolved with all its links, and must then still be inside.
- Size and time are bounded while reading, whatever the headers promise.
"""

import asyncio
import ipaddress
import os
import socket
import ssl
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from modgate.media.errors import MediaError, MediaProblem

__all__ = ["AllowedHost", "References"]

_HEADER_BYTES = 32_768
_CHUNK = 65_536
_PORTS = {"https": 443, "http": 80}
_LONGEST = 2048
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class AllowedHost:
    """A host that may be fetched from.

    Attributes:
        scheme: `https` or `http`.
        host: Its name, in lower case; an address only if it is written so.
        port: The only port.
        private: Whether its addresses may be private ones, as those of a store inside the cluster are.
    """

    scheme: str
    host: str
    port: int
    private: bool = False

    @staticmethod
    def parse(text: str) -> "AllowedHost":
        """Read `cdn.example.com`, `https://cdn.example.com:8443` or `private+http://minio:9000`.

        Raises:
            ValueError: If it is none of these.
        """
        private = text.startswith("private+")
        rest = text.removeprefix("private+")
        parts = urlsplit(rest if "://" in rest else f"https://{rest}")
        if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
            raise ValueError(
                f"{text!r} is no host; write cdn.example.com, https://cdn.example.com:8443 or private+http://minio:9000"
            )
        return AllowedHost(parts.scheme, _fold(parts.hostname), parts.port or _PORTS[parts.scheme], private)


class References:
    """Fetches files from allowed places.

    Args:
        hosts: Hosts that may be fetched from.
        folders: Folders that `file:` addresses may lie in.
        file_bytes: Size of a file at most.
        tls: Which authorities are trusted; those of the system by default.
    """

    def __init__(
        self,
        hosts: Sequence[AllowedHost],
        folders: Sequence[Path] = (),
        *,
        file_bytes: int = 16 * 1024 * 1024,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._hosts = {(allowed.scheme, allowed.host, allowed.port): allowed for allowed in hosts}
        self._folders = tuple(folder.resolve() for folder in folders)
        self._limit = file_bytes
        self._tls = tls or ssl.create_default_context()

    async def fetch(self, uri: str, deadline: float) -> bytes:
        """Return the file at an address.

        Args:
            uri: `https:`, `http:` or `file:`.
            deadline: `time.monotonic()` seconds.

        Raises:
            MediaError: REFUSED if the address is not allowed, UNREACHABLE if it gives nothing, TOO_MANY_BYTES or
                DEADLINE.
        """
        if len(uri) > _LONGEST or any(ord(char) <= 0x20 or ord(char) >= 0x7F for char in uri):  # noqa: PLR2004  ASCII
            raise MediaError(MediaProblem.REFUSED, "an address has at most 2048 visible ASCII characters")
        try:
            parts = urlsplit(uri)
            port = parts.port
        except ValueError as error:
            raise MediaError(MediaProblem.REFUSED, "the address cannot be read") from error
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                if parts.scheme == "file":
                    return await asyncio.to_thread(self._read, parts)
                allowed = self._allowed(parts, port)
                return await self._get(allowed, parts)
        except TimeoutError as error:
            raise MediaError(MediaProblem.DEADLINE) from error

    def _allowed(self, parts: SplitResult, port: int | None) -> AllowedHost:
        if parts.username is not None or parts.password is not None:
            raise MediaError(MediaProblem.REFUSED, "an address must not hold a name or a password")
        if parts.scheme not in _PORTS or not parts.hostname:
            raise MediaError(MediaProblem.REFUSED, f"addresses begin with https:, http: or file:, not {parts.scheme!r}")
        allowed = self._hosts.get((parts.scheme, _fold(parts.hostname), port or _PORTS[parts.scheme]))
        if allowed is None:
            raise MediaError(MediaProblem.REFUSED, "the host is not on the list of allowed ones")
        return allowed

    def _read(self, parts: SplitResult) -> bytes:
        """Read a file below an allowed folder. Blocks."""
        if parts.netloc or parts.query or parts.fragment:
            raise MediaError(MediaProblem.REFUSED, "write file:///path")
        try:
            path = Path(unquote(parts.path)).resolve(strict=True)
            if not any(path.is_relative_to(folder) for folder in self._folders):
                raise MediaError(MediaProblem.REFUSED, "the file is not in an allowed folder")
            # Resolved, so no link is left to follow; if one has been put there since, opening fails.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except (OSError, ValueError) as error:
            # What exists outside the allowed folders is nobody's business: one answer for absent and forbidden.
            raise MediaError(MediaProblem.REFUSED, "the file is not in an allowed folder") from error
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if not regular:
            os.close(descriptor)
            raise MediaError(MediaProblem.REFUSED, "the file is not in an allowed folder")
        with open(descriptor, "rb") as file:  # noqa: PTH123  a descriptor, not a path
            data = file.read(self._limit + 1)
        return self._bounded(data)

    async def _get(self, allowed: AllowedHost, parts: SplitResult) -> bytes:
        address = await self._address(allowed)
        tls = self._tls if allowed.scheme == "https" else None
        name = allowed.host if tls else None
        try:
            reader, writer = await asyncio.open_connection(
                address, allowed.port, ssl=tls, server_hostname=name, limit=_HEADER_BYTES
            )
        except (OSError, ssl.SSLError) as error:
            raise MediaError(MediaProblem.UNREACHABLE, type(error).__name__) from error
        try:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            bracketed = f"[{allowed.host}]" if ":" in allowed.host else allowed.host
            host = bracketed if allowed.port == _PORTS[allowed.scheme] else f"{bracketed}:{allowed.port}"
            request = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nAccept: image/*, video/*\r\n"
            writer.write(
                f"{request}User-Agent: modgate\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n".encode()
            )
            return await self._response(reader)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            raise MediaError(MediaProblem.UNREACHABLE, type(error).__name__) from error
        finally:
            writer.transport.abort()

    async def _address(self, allowed: AllowedHost) -> str:
        """Return one address of a host, after checking all of them."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(allowed.host, allowed.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise MediaError(MediaProblem.UNREACHABLE, "the host has no address") from error
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses:
            raise MediaError(MediaProblem.UNREACHABLE, "the host has no address")
        if not allowed.private and not all(is_public(address) for address in addresses):
            raise MediaError(MediaProblem.REFUSED, "the host resolves to an address that is not public")
        return addresses[0]

    async def _response(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = (*head[0].split(" "), "nothing")[1]
        if status != "200":
            # A redirect is not followed: it would lead past the list.
            raise MediaError(MediaProblem.UNREACHABLE, f"the host answers {status[:3]}")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
        if fields.get("content-encoding", "identity") != "identity":
            raise MediaError(MediaProblem.UNREACHABLE, "the host compresses, though it was not asked to")
        if fields.get("transfer-encoding", "").lower() == "chunked":
            return await self._chunked(reader)
        length = fields.get("content-length")
        if length is None:
            return self._bounded(await self._until_end(reader))
        if int(length) > self._limit:
            raise MediaError(MediaProblem.TOO_MANY_BYTES, f"{length} bytes, the limit is {self._limit}")
        return await reader.readexactly(int(length))

    async def _until_end(self, reader: asyncio.StreamReader) -> bytes:
        pieces, size = [], 0
        while size <= self._limit and (piece := await reader.read(_CHUNK)):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    async def _chunked(self, reader: asyncio.StreamReader) -> bytes:
        pieces, size = [], 0
        while length := int((await reader.readline()).split(b";")[0].strip() or b"0", 16):
            size += length
            if size > self._limit or length < 0:
                raise MediaError(MediaProblem.TOO_MANY_BYTES, f"more than {self._limit} bytes")
            pieces.append(await reader.readexactly(length))
            await reader.readexactly(2)
        return b"".join(pieces)

    def _bounded(self, data: bytes) -> bytes:
        if len(data) > self._limit:
            raise MediaError(MediaProblem.TOO_MANY_BYTES, f"more than {self._limit} bytes")
        return data


def is_public(address: str) -> bool:
    """Return whether an address belongs to the public internet, also when it is wrapped in another one."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _fold(host: str) -> str:
    return host.rstrip(".").lower()
