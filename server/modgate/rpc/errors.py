"""Errors of the transport: requests that cannot be judged at all, with what is wrong and where."""

from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

__all__ = ["Violation", "abort_invalid"]

Context = grpc.aio.ServicerContext[Any, Any]


class Violation(NamedTuple):
    """One field that is wrong: its path in the request, and what to do about it."""

    field: str
    description: str


async def abort_invalid(context: Context, violations: Sequence[Violation]) -> NoReturn:
    """End the call with INVALID_ARGUMENT and a `google.rpc.BadRequest` that names every field."""
    bad_request = error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=v.field, description=v.description) for v in violations
        ]
    )
    detail = any_pb2.Any()
    detail.Pack(bad_request)
    status = rpc_status.to_status(
        status_pb2.Status(
            code=code_pb2.INVALID_ARGUMENT,
            message="; ".join(f"{v.field}: {v.description}" for v in violations),
            details=[detail],
        )
    )
    context.set_trailing_metadata(status.trailing_metadata)
    await context.abort(status.code, status.details)
    raise AssertionError("abort returned")
