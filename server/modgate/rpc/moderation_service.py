"""ModerationService: translates requests for the gate and decisions for the caller, and nothing else."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NoReturn, Protocol

import grpc

from modgate.gate import Decision, Gate, RecentAnswers
from modgate.message import Message
from modgate.rpc.errors import Context, Violation, abort_invalid
from modgate.rpc.permits import Permits
from modgate.rpc.translate import from_request, to_response
from modgate.rpc.unreadable import Unreadable, parse_request
from modgate.rpc.validate import Limits, violations
from modgate.telemetry import Metrics
from modgate.v1 import moderation_pb2 as pb

__all__ = ["Journal", "ModerationService"]

_SERVICE = "modgate.v1.ModerationService"
_RESERVE_SHARE = 0.2


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
            journal: The history, if one is kept.
        """
        self._gate = gate
        self._limits = limits
        self._permits = permits
        self._recent = recent
        self._models = models
        self._reserve = reserve
        self._stream_window = stream_window
        self._journal = journal
        self._draining = asyncio.Event()
        self._invalid = metrics.counter("invalid_requests")
        self._shed = metrics.counter("shed")
        metrics.gauge("in_flight").set_function(lambda: permits.in_flight)

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
        problems = violations(request, self._limits)
        if problems:
            await self._refuse(context, problems)
        return await self._answer(request, arrived, context.time_remaining())

    async def moderate_stream(
        self, requests: AsyncIterator[pb.ModerateRequest | Unreadable], context: Context
    ) -> AsyncIterator[bytes]:
        """Judge messages side by side and yield each answer when it is ready.

        A request that cannot be judged ends the stream, after the answers to those before it.
        """
        answers: asyncio.Queue[bytes | None] = asyncio.Queue()
        window = asyncio.Semaphore(self._stream_window)
        tasks: set[asyncio.Task[None]] = set()
        refused: list[Violation] = []

        async def answer(request: pb.ModerateRequest, arrived: float) -> None:
            try:
                answers.put_nowait(await self._answer(request, arrived, None))
            finally:
                window.release()

        async def read() -> None:
            try:
                async for request in requests:
                    arrived = time.monotonic()
                    if isinstance(request, Unreadable):
                        refused.append(request.violation)
                        return
                    problems = violations(request, self._limits, streamed=True)
                    if problems:
                        refused.extend(problems)
                        return
                    await window.acquire()
                    task = asyncio.create_task(answer(request, arrived))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
            finally:
                if tasks:
                    await asyncio.wait(list(tasks))
                answers.put_nowait(None)

        reader = asyncio.create_task(read())
        draining = asyncio.create_task(self._end_on_drain(reader))
        try:
            while (response := await answers.get()) is not None:
                yield response
            if refused:
                await self._refuse(context, refused)
        finally:
            draining.cancel()
            reader.cancel()
            for task in tasks:
                task.cancel()

    async def _end_on_drain(self, reader: "asyncio.Task[None]") -> None:
        await self._draining.wait()
        reader.cancel()

    async def _answer(self, request: pb.ModerateRequest, arrived: float, remaining: float | None) -> bytes:
        message = from_request(request)
        judged = False

        async def judge() -> tuple[bytes, bool]:
            nonlocal judged
            judged = True
            decision = await self._judge(message, arrived, remaining, explain=request.explain)
            models = self._asked(decision)
            response = to_response(decision, request.request_id, models, explain=request.explain)
            # An answer that needed a fallback is not kept: a repeated call may get the full one.
            return response.SerializeToString(), decision.fallback is None

        answer = await self._recent.once(message, arrived, judge, variant=request.explain)
        if judged:
            return answer
        repeated = pb.ModerateResponse.FromString(answer)
        repeated.request_id = request.request_id
        return repeated.SerializeToString()

    async def _judge(self, message: Message, arrived: float, remaining: float | None, *, explain: bool) -> Decision:
        budget = self._gate.ruleset.total_ms / 1000
        if remaining is not None:
            budget = min(budget, remaining)
        deadline = arrived + budget - min(self._reserve, budget * _RESERVE_SHARE)
        permitted = self._permits.take(message.app_id)
        if not permitted:
            self._shed.inc()
        try:
            decision = await self._gate.judge(
                message, arrived=arrived, deadline=deadline, explain=explain, shed=not permitted
            )
        finally:
            self._permits.give_back(message.app_id)
        if self._journal is not None:
            self._journal.before_reply(decision)
            self._journal.after_reply(decision)
        return decision

    def _asked(self, decision: Decision) -> Sequence[pb.ModelVersion]:
        """Return the models behind the detectors that were asked, each once."""
        asked = [self._models[detector] for detector in decision.timings if detector in self._models]
        return list({version.name: version for versions in asked for version in versions}.values())

    async def _refuse(self, context: Context, problems: Sequence[Violation]) -> NoReturn:
        self._invalid.inc()
        await abort_invalid(context, problems)


def _encoded(answer: bytes) -> bytes:
    # Answers are encoded when they are made: what is kept for repeated calls is the same bytes.
    return answer
