"""Errors of the transport: requests that cannot be judged at all, with what is wrong and where."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

__all__ = ["Context", "Violation", "abort_for", "abort_invalid"]

Context = grpc.aio.ServicerContext[Any, Any]

_DOMAIN = "modgate"
_MESSAGE_BYTES = 500
_DETAIL_BYTES = 3_500
"""Both travel in the trailing metadata, encoded again; many clients refuse more than 8 KiB of it in all."""


class Violation(NamedTuple):
    """One field that is wrong: its path in the request, and what to do about it."""

    field: str
    description: str


async def abort_invalid(context: Context, violations: Sequence[Violation]) -> NoReturn:
    """End the call with INVALID_ARGUMENT and a `google.rpc.BadRequest` that names every field that fits."""
    bad_request = error_details_pb2.BadRequest()
    for told, violation in enumerate(violations):
        field, description = _cut(violation.field), _cut(violation.description)
        bad_request.field_violations.add(field=field, description=description)
        if bad_request.ByteSize() > _DETAIL_BYTES:
            del bad_request.field_violations[-1]
            bad_request.field_violations.add(field="", description=f"and {len(violations) - told} more")
            break
    message = "; ".join(f"{v.field}: {v.description}" for v in violations)
    await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, message, bad_request)


async def abort_for(
    context: Context, code: grpc.StatusCode, message: str, reason: str, metadata: Mapping[str, str] | None = None
) -> NoReturn:
    """End the call with a `google.rpc.ErrorInfo`, for programs that must tell one reason from another.

    Args:
        context: The call.
        code: The status.
        message: For people.
        reason: For programs, such as `ETAG_MISMATCH`.
        metadata: What programs need besides.
    """
    await _abort(
        context, code, message, error_details_pb2.ErrorInfo(reason=reason, domain=_DOMAIN, metadata=metadata or {})
    )


async def _abort(context: Context, code: grpc.StatusCode, message: str, detail: Message) -> NoReturn:
    message = _cut(message)
    packed = any_pb2.Any()
    packed.Pack(detail)
    status = rpc_status.to_status(status_pb2.Status(code=code.value[0], message=message, details=[packed]))
    context.set_trailing_metadata(status.trailing_metadata)
    await context.abort(status.code, status.details)
    raise AssertionError("abort returned")


def _cut(text: str) -> str:
    encoded = text.encode()
    return text if len(encoded) <= _MESSAGE_BYTES else encoded[: _MESSAGE_BYTES - 3].decode(errors="ignore") + "..."
