"""Who may call the control plane: whoever shows the bearer token. Without a token it is closed to everybody."""

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

__all__ = ["BearerInterceptor"]

_OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")


class BearerInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls without the right token; health and reflection are open."""

    def __init__(self, token: str, *, trust_client_certificates: bool = False) -> None:
        self._token = token.encode()
        self._mutual = trust_client_certificates

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> "grpc.RpcMethodHandler[Any, Any] | None":
        """Let a call through or answer UNAUTHENTICATED."""
        handler = await continuation(handler_call_details)
        method = str(handler_call_details.method)
        if method.startswith(_OPEN) or self._mutual:
            return handler
        if not self._token:
            return _refusal(handler, "the control plane is closed: set control.token (MODGATE_CONTROL__TOKEN)")
        shown = dict(handler_call_details.invocation_metadata).get("authorization", "")
        given = shown.encode() if isinstance(shown, str) else shown
        if hmac.compare_digest(given, b"Bearer " + self._token):
            return handler
        return _refusal(handler, "send the metadata `authorization: Bearer <token>`")


def _refusal(handler: "grpc.RpcMethodHandler[Any, Any] | None", reason: str) -> "grpc.RpcMethodHandler[Any, Any]":
    async def refuse(_request: object, context: "grpc.aio.ServicerContext[Any, Any]") -> None:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, reason)

    # Which methods there are is nobody's business either.
    if handler is None:
        return grpc.unary_unary_rpc_method_handler(refuse)
    # The refusal must have the shape of the call that it refuses.
    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse)
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(refuse)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse)
    return grpc.unary_unary_rpc_method_handler(refuse)
