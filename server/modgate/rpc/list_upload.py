"""A list on its way in: chunks of a client stream, each bounded, and so are their sum and the uploads at once."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc

from modgate.rpc.errors import Context, Violation, abort_for, abort_invalid
from modgate.rpc.rule_messages import name_violations
from modgate.rules.lists import MAX_BYTES
from modgate.v1 import rules_pb2 as pb

__all__ = ["CHUNK_BYTES", "MAX_YAML", "Upload", "Uploads"]

CHUNK_BYTES = 1024 * 1024
MAX_YAML = 256 * 1024
"""Bytes of one rule's or list's YAML: entries are uploaded on their own, so this is generous."""
_AT_ONCE = 4
"""Uploads that may be under way: with `MAX_BYTES` each, the bound of the memory that they take."""


@dataclass(frozen=True, slots=True)
class Upload:
    """What came: the list to create or replace, and its entries as one text file."""

    list: pb.List
    content: bytes


class Uploads:
    """Receives uploads."""

    def __init__(self) -> None:
        self._under_way = 0

    async def receive(self, requests: AsyncIterator[pb.UploadListRequest], context: Context) -> Upload:
        """Return what a client streams, or end the call if it is too much or makes no sense."""
        if self._under_way >= _AT_ONCE:
            message = f"{_AT_ONCE} uploads are under way; try again when one is done"
            await abort_for(context, grpc.StatusCode.RESOURCE_EXHAUSTED, message, "UPLOADS_BUSY")
        self._under_way += 1
        try:
            return await _receive(requests, context)
        finally:
            self._under_way -= 1


async def _receive(requests: AsyncIterator[pb.UploadListRequest], context: Context) -> Upload:
    target: pb.List | None = None
    content = bytearray()
    async for request in requests:
        problems: list[Violation] = []
        if target is None:
            target = request.list
            problems += name_violations("list.name", target.name)
            if len(target.yaml) > MAX_YAML:
                problems.append(Violation("list.yaml", f"has more than {MAX_YAML:,} bytes; upload entries as chunks"))
        elif request.HasField("list"):
            problems.append(Violation("list", "only the first message names the list"))
        if len(request.chunk) > CHUNK_BYTES:
            problems.append(Violation("chunk", f"has {len(request.chunk):,} bytes; at most {CHUNK_BYTES:,} fit in one"))
        content += request.chunk
        if len(content) > MAX_BYTES:
            problems.append(Violation("chunk", f"all chunks together have more than {MAX_BYTES:,} bytes"))
        if problems:
            await abort_invalid(context, problems)
    if target is None:
        await abort_invalid(context, [Violation("list.name", "is required: the stream was empty")])
    return Upload(target, bytes(content))
