"""ModerationService: translates requests for the gate and decisions for the caller, and nothing else."""

import asyncio
import time
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

import grpc

from modgate.gate import Decision, FallbackReason, Gate, RecentAnswers, Undecided
from modgate.message import Message
from modgate.rpc.errors import Context, Violation, abort_invalid
from modgate.rpc.frames import FramedConnection, Incoming
from modgate.rpc.intake import Intake
from modgate.rpc.lag import LoopLag
from modgate.rpc.permits import Permits
from modgate.rpc.stream import AnswerStream
from modgate.rpc.translate import from_request, to_response
from modgate.rpc.unreadable import Unreadable, parse_request
from modgate.rpc.validate import Limits, violations
from modgate.telemetry import Metrics
from modgate.v1 import moderation_pb2 as pb

__all__ = ["Journal", "ModerationService"]

_SERVICE = "modgate.v1.ModerationService"
_RESERVE_SHARE = 0.2
_SHEDDING_LAG = 0.04
"""Seconds that the event loop may be behind before models are not asked: a loop that cannot keep up with answers must
not be given the work of queueing for scores that will come too late."""


class Journal(Protocol):
    """What must happen around a reply for the history."""

    def before_reply(self, decision: Decision) -> None:
        """Keep a decision that must not be lost; microseconds."""
        ...

    def after_reply(self, decision: Decision) -> None:
        """Take note of any decision, best effort."""
        ...


class ModerationService:
    """The data plane."""

    def __init__(
        self,
        gate: Gate,
        *,
        limits: Limits,
        permits: Permits,
        recent: RecentAnswers[bytes],
        metrics: Metrics,
        models: Mapping[str, Sequence[pb.ModelVersion]],
        reserve: float = 0.02,
        stream_window: int = 128,
        lag: LoopLag | None = None,
        journal: Journal | None = None,
    ) -> None:
        """Bind the service.

        Args:
            gate: Judges.
            limits: Sizes that are accepted.
            permits: Messages at once.
            recent: Answers to repeated calls.
            metrics: The catalogue.
            models: What to say of the models of each detector.
            reserve: Seconds of the budget kept for sending the answer.
            stream_window: Messages of one stream that are judged at once; beyond it the stream is not read.
            lag: How far the event loop is behind; taken off every budget.
            journal: The history, if one is kept.
        """
        self._gate = gate
        self._limits = limits
        self._permits = permits
        self._recent = recent
        self._models = models
        self._reserve = reserve
        self._stream_window = stream_window
        self._lag = lag or LoopLag()
        self._journal = journal
        self._intake: Intake[Incoming] = Intake(app_of=_app_of, on_refusal=permits.cut)
        self._draining = asyncio.Event()
        self._invalid = metrics.counter("invalid_requests")
        self._shed = metrics.counter("shed")
        self._blind = metrics.counter("blind")
        metrics.gauge("in_flight").set_function(lambda: permits.in_flight)
        metrics.gauge("in_flight_limit").set_function(lambda: permits.limit)

    def handlers(self) -> grpc.GenericRpcHandler:
        """Return the handlers to register. Requests are parsed here, so that unreadable ones get a telling error."""
        return grpc.method_handlers_generic_handler(
            _SERVICE,
            {
                "Moderate": grpc.unary_unary_rpc_method_handler(self.moderate, parse_request, _encoded),
                "ModerateStream": grpc.stream_stream_rpc_method_handler(self.moderate_stream, parse_request, _encoded),
            },
        )

    def drain(self) -> None:
        """End streams once their messages in flight are answered."""
        self._draining.set()

    async def moderate(self, request: pb.ModerateRequest | Unreadable, context: Context) -> bytes:
        """Judge one message."""
        arrived = time.monotonic()
        if isinstance(request, Unreadable):
            await self._refuse(context, [request.violation])
        if request.frame:
            await self._refuse(context, [Violation("frame", "only streams take frames; use ModerateStream")])
        problems = violations(request, self._limits)
        if problems:
            await self._refuse(context, problems)
        begun = self._begin(request, arrived, context.time_remaining())
        return begun if isinstance(begun, bytes) else await self._finish(begun)

    async def moderate_stream(self, _requests: object, context: Context) -> None:
        """Judge messages side by side and send each answer when it is ready.

        A request that cannot be judged ends the stream, after the answers to those before it.
        """
        refused: list[Violation] = []

        def begin(request: Incoming, arrived: float, *, blind: bool) -> "bytes | _Call | None":
            if isinstance(request, Unreadable):
                refused.append(request.violation)
                return None
            refused.extend(violations(request, self._limits, streamed=True))
            return None if refused else self._begin(request, arrived, None, blind=blind)

        stream: AnswerStream[Incoming, _Call] = AnswerStream(begin, self._finish, self._stream_window, self._intake)
        await stream.run(FramedConnection(context), self._draining)
        if refused:
            await self._refuse(context, refused)

    def _begin(
        self, request: pb.ModerateRequest, arrived: float, remaining: float | None, *, blind: bool = False
    ) -> "bytes | _Call":
        """Answer a request at once, if cheap detectors or an earlier call decide it; else return what is left to do."""
        message = from_request(request)
        key = self._recent.key(message, request.explain)
        if key is not None:
            known = self._recent.get(key, arrived)
            if known is not None:
                return _repeated(known, request)
        # The request has waited for the loop before this line could run, and the answer will wait again. gRPC counts
        # the caller's deadline from the arrival at the socket, so there only the second wait is to come.
        lag = self._lag.seconds
        budget = self._gate.ruleset.total_ms / 1000 - 2 * lag
        if remaining is not None:
            budget = min(budget, remaining - lag)
        deadline = arrived + budget - min(self._reserve, max(budget, 0.0) * _RESERVE_SHARE)
        call = _Call(request, message, key, arrived, deadline)
        if key is not None and self._recent.is_flying(key):
            return call
        if blind:
            self._blind.inc()
        waited = time.monotonic() - arrived
        outcome = self._gate.begin(
            message,
            arrived=arrived,
            deadline=deadline,
            explain=request.explain,
            shed=max(lag, waited) > _SHEDDING_LAG or not self._permits.free(message.app_id),
            blind=blind,
        )
        if isinstance(outcome, Decision):
            answer, keep = self._encode(outcome, request)
            if keep:
                self._recent.put(key, arrived, answer)
            return answer
        call.undecided = outcome
        return call

    async def _finish(self, call: "_Call") -> bytes:
        """Answer a request that `_begin` left open."""
        judged = False

        async def judge() -> tuple[bytes, bool]:
            nonlocal judged
            judged = True
            app_id = call.message.app_id
            permitted = self._permits.take(app_id)
            refused = False
            try:
                # Begun is never begun again: detectors that count, such as floods, would count twice.
                if call.undecided is not None:
                    decision = await self._gate.finish(call.undecided, shed=not permitted)
                else:
                    decision = await self._gate.judge(
                        call.message,
                        arrived=call.arrived,
                        deadline=call.deadline,
                        explain=call.request.explain,
                        shed=not permitted,
                    )
                refused = permitted and _overloaded(decision)
            finally:
                self._permits.give_back(app_id, refused=refused)
            return self._encode(decision, call.request)

        answer = await self._recent.once(call.key, call.arrived, judge)
        return answer if judged else _repeated(answer, call.request)

    def _encode(self, decision: Decision, request: pb.ModerateRequest) -> tuple[bytes, bool]:
        """Return the answer to send, and whether a repeated call should get the same one."""
        overloaded = _overloaded(decision)
        if overloaded:
            self._shed.inc()
        if self._journal is not None:
            self._journal.before_reply(decision)
            # What is kept at best effort is not kept at the cost of answers.
            if not overloaded:
                self._journal.after_reply(decision)
        asked = [self._models[detector] for detector in decision.timings if detector in self._models]
        models = {version.name: version for versions in asked for version in versions}.values() if asked else ()
        response = to_response(decision, request.request_id, tuple(models), explain=request.explain)
        # An answer that needed a fallback is not kept: a repeated call may get the full one.
        return response.SerializeToString(), decision.fallback is None

    async def _refuse(self, context: Context, problems: Sequence[Violation]) -> NoReturn:
        self._invalid.inc()
        await abort_invalid(context, problems)


@dataclass(slots=True)
class _Call:
    """A request on its way: what was asked, how a repeated call would be known, and what the gate has begun."""

    request: pb.ModerateRequest
    message: Message
    key: Hashable | None
    arrived: float
    deadline: float
    undecided: Undecided | None = None


def _app_of(request: Incoming) -> str:
    return "" if isinstance(request, Unreadable) else request.app_id


def _overloaded(decision: Decision) -> bool:
    return decision.fallback is not None and decision.fallback.reason is FallbackReason.OVERLOAD


def _repeated(answer: bytes, request: pb.ModerateRequest) -> bytes:
    """Return an earlier answer for another request about the same message."""
    response = pb.ModerateResponse.FromString(answer)
    response.request_id = request.request_id
    return response.SerializeToString()


def _encoded(answer: bytes) -> bytes:
    # Answers are encoded when they are made: what is kept for repeated calls is the same bytes.
    return answer
