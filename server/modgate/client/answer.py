"""What a caller gets: an answer of the server's, or one that the client made because there was none in time."""

import enum
from dataclasses import dataclass, field

import grpc

from modgate.v1 import moderation_pb2 as pb

__all__ = ["Answer", "Fallbacks", "RequestRefusedError", "Source", "reason_of"]

_REASONS = {
    grpc.StatusCode.DEADLINE_EXCEEDED: pb.FALLBACK_REASON_TIMEOUT,
    grpc.StatusCode.RESOURCE_EXHAUSTED: pb.FALLBACK_REASON_OVERLOAD,
    # How gRPC's core refuses a call that the server has not read: it resets the stream.
    grpc.StatusCode.CANCELLED: pb.FALLBACK_REASON_OVERLOAD,
}


class RequestRefusedError(Exception):
    """The request cannot be judged at all (INVALID_ARGUMENT and the like): correct it, do not repeat it.

    Attributes:
        code: The gRPC status.
        details: Which fields are wrong, and what to do about them.
    """

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"{code.name}: {details}")
        self.code = code
        self.details = details


class Source(enum.Enum):
    """Who made the answer."""

    SERVER = "server"
    """The gate; it may still carry a fallback of the gate's, for conditions that did not finish."""
    CLIENT = "client"
    """This client, because no answer came in time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One message's answer.

    Attributes:
        response: As the contract has it; a client's own has a `fallback` whose `unfinished` is `["server"]`.
        source: Who made it.
        original: The text that was asked about.
        cause: Why the client had to answer itself; empty if it had not.
    """

    response: pb.ModerateResponse
    source: Source
    original: str = field(repr=False)
    cause: str = ""

    @property
    def deliver(self) -> bool:
        """Whether the message goes out, masked or not."""
        return self.response.verdict != pb.VERDICT_BLOCK

    @property
    def text(self) -> str:
        """The text to deliver; empty if nothing is to be delivered."""
        if not self.deliver:
            return ""
        return self.response.masked_text if self.response.verdict == pb.VERDICT_MASK else self.original

    @property
    def complete(self) -> bool:
        """Whether everything that could matter was decided: no fallback, neither the server's nor the client's."""
        return not self.response.HasField("fallback")


@dataclass(frozen=True, slots=True)
class Fallbacks:
    """What stands in for a server that did not answer, by reason; the words are those of a rule's `on_timeout`.

    Attributes:
        on_timeout: No answer within the budget.
        on_overload: The server said RESOURCE_EXHAUSTED, or reset the call without having read it (CANCELLED).
        on_error: The server cannot be reached, or failed.
    """

    on_timeout: "pb.FallbackPolicy.ValueType" = pb.FALLBACK_POLICY_SEND
    on_overload: "pb.FallbackPolicy.ValueType" = pb.FALLBACK_POLICY_SEND
    on_error: "pb.FallbackPolicy.ValueType" = pb.FALLBACK_POLICY_SEND

    @staticmethod
    def block() -> "Fallbacks":
        """Return the policy that lets nothing through unjudged."""
        block = pb.FALLBACK_POLICY_BLOCK
        return Fallbacks(block, block, block)

    def answer(self, request: pb.ModerateRequest, reason: "pb.FallbackReason.ValueType", cause: str) -> Answer:
        """Return the client's own answer."""
        policy = {
            pb.FALLBACK_REASON_TIMEOUT: self.on_timeout,
            pb.FALLBACK_REASON_OVERLOAD: self.on_overload,
        }.get(reason, self.on_error)
        response = pb.ModerateResponse(
            request_id=request.request_id,
            verdict=pb.VERDICT_BLOCK if policy == pb.FALLBACK_POLICY_BLOCK else pb.VERDICT_ALLOW,
            fallback=pb.Fallback(reason=reason, applied=policy, unfinished=["server"]),
        )
        return Answer(response, Source.CLIENT, request.message.text, cause)


def reason_of(code: grpc.StatusCode) -> "pb.FallbackReason.ValueType":
    """Return what a failed call counts as."""
    return _REASONS.get(code, pb.FALLBACK_REASON_ERROR)
