"""ReviewService: the flagged queue, reports, the history and erasure."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from google.protobuf import timestamp_pb2
from sqlalchemy import Connection

from modgate.review.desk import Item, Report, ReviewDesk, ReviewState
from modgate.review.entry import stored_decision
from modgate.review.erasure import Erased
from modgate.review.search import HistoryFilter, from_token, search, to_token
from modgate.review.watch import FlagWatch
from modgate.rpc.decision_record import to_item, to_record
from modgate.rpc.errors import Violation, abort_invalid
from modgate.rpc.store_errors import Context, caller, page_size, statuses
from modgate.rules.ruleset import Verdict
from modgate.storage.database import Database
from modgate.storage.seal import TextSealer
from modgate.v1 import review_pb2, review_pb2_grpc

__all__ = ["EraseUser", "ReviewService"]

EraseUser = Callable[[str, str, str], Awaitable[Erased]]
"""Erases: app id, user id, author."""

_LONGEST_ID = 255


class ReviewService(review_pb2_grpc.ReviewServiceServicer):
    """What moderators work with.

    Args:
        desk: The queue.
        watch: New flags.
        database: The history.
        sealer: Opens texts.
        erase: Erases a user everywhere.
        identify: Names the caller, who becomes the moderator.
    """

    def __init__(
        self,
        desk: ReviewDesk,
        watch: FlagWatch,
        database: Database,
        sealer: TextSealer,
        erase: EraseUser,
        *,
        identify: Callable[[Context], str] = caller,
    ) -> None:
        self._desk = desk
        self._watch = watch
        self._database = database
        self._sealer = sealer
        self._erase = erase
        self._identify = identify

    async def ListFlagged(  # noqa: N802 - the contract's name
        self, request: review_pb2.ListFlaggedRequest, context: Context
    ) -> review_pb2.ListFlaggedResponse:
        """Return what waits, oldest first."""
        limit = await page_size(context, request.page_size, default=50, most=500)
        async with statuses(context):
            items, place = await self._desk.waiting(
                _filter(request.filter), limit=limit, after=from_token(request.page_token)
            )
        return review_pb2.ListFlaggedResponse(items=[to_item(i) for i in items], next_page_token=to_token(place))

    async def WatchFlagged(  # noqa: N802 - the contract's name
        self, request: review_pb2.WatchFlaggedRequest, context: Context
    ) -> AsyncIterator[review_pb2.WatchFlaggedResponse]:
        """Send new flags as they come."""
        # The caller learns that it is connected before the first flag.
        await context.send_initial_metadata(())
        async for item in self._watch.items(_filter(request.filter)):
            yield review_pb2.WatchFlaggedResponse(item=to_item(item))

    async def Approve(  # noqa: N802 - the contract's name
        self, request: review_pb2.ApproveRequest, context: Context
    ) -> review_pb2.ApproveResponse:
        """Decide that an item is fine."""
        item = await self._decide(request.id, ReviewState.APPROVED, request.note, context)
        return review_pb2.ApproveResponse(item=to_item(item))

    async def Block(  # noqa: N802 - the contract's name
        self, request: review_pb2.BlockRequest, context: Context
    ) -> review_pb2.BlockResponse:
        """Decide that an item must go."""
        item = await self._decide(request.id, ReviewState.BLOCKED, request.note, context)
        blocked_before = item.decision is not None and item.decision.row.verdict == Verdict.BLOCK
        withdraw = bool(item.row["message_id"] or item.decision is not None) and not blocked_before
        return review_pb2.BlockResponse(item=to_item(item), withdraw=withdraw)

    async def AskSender(  # noqa: N802 - the contract's name
        self, request: review_pb2.AskSenderRequest, context: Context
    ) -> review_pb2.AskSenderResponse:
        """Ask the sender and keep the item open."""
        item = await self._decide(request.id, ReviewState.ASKED, request.note, context)
        return review_pb2.AskSenderResponse(item=to_item(item))

    async def ListReviewed(  # noqa: N802 - the contract's name
        self, request: review_pb2.ListReviewedRequest, context: Context
    ) -> review_pb2.ListReviewedResponse:
        """Return what was decided, newest first."""
        limit = await page_size(context, request.page_size, default=50, most=500)
        async with statuses(context):
            items, place = await self._desk.reviewed(
                _filter(request.filter),
                limit=limit,
                state=request.state,
                moderator=request.moderator,
                before=from_token(request.page_token),
            )
        return review_pb2.ListReviewedResponse(items=[to_item(i) for i in items], next_page_token=to_token(place))

    async def ReportMessage(  # noqa: N802 - the contract's name
        self, request: review_pb2.ReportMessageRequest, context: Context
    ) -> review_pb2.ReportMessageResponse:
        """Flag a message for a user."""
        await _require(request, ("message_id", "reporter_id", "reason"), context)
        report = Report(
            app_id=request.app_id,
            reporter_id=request.reporter_id,
            reason=request.reason,
            note=request.note,
            message_id=request.message_id,
            text=request.text,
            sender_id=request.sender_id,
            conversation_id=request.conversation_id,
        )
        return review_pb2.ReportMessageResponse(item=to_item(await self._report(report, context)))

    async def ReportUser(  # noqa: N802 - the contract's name
        self, request: review_pb2.ReportUserRequest, context: Context
    ) -> review_pb2.ReportUserResponse:
        """Flag a user for another."""
        await _require(request, ("user_id", "reporter_id", "reason"), context)
        report = Report(
            app_id=request.app_id,
            reporter_id=request.reporter_id,
            reason=request.reason,
            note=request.note,
            user_id=request.user_id,
        )
        return review_pb2.ReportUserResponse(item=to_item(await self._report(report, context)))

    async def ListReportReasons(  # noqa: N802 - the contract's name
        self, request: review_pb2.ListReportReasonsRequest, context: Context
    ) -> review_pb2.ListReportReasonsResponse:
        """Return the reasons that a report may give."""
        del request, context
        return review_pb2.ListReportReasonsResponse(reasons=self._desk.reasons)

    async def SearchHistory(  # noqa: N802 - the contract's name
        self, request: review_pb2.SearchHistoryRequest, context: Context
    ) -> review_pb2.SearchHistoryResponse:
        """Return decisions, newest first."""
        limit = await page_size(context, request.page_size, default=50, most=500)
        wanted = _filter(request.filter, verdict=request.verdict)
        async with statuses(context):
            before = from_token(request.page_token)

            def work(connection: Connection) -> tuple[list[dict[str, Any]], str]:
                return search(connection, wanted, limit=limit, before=before)

            rows, place = await self._database.call(work)
        return review_pb2.SearchHistoryResponse(
            decisions=[to_record(stored_decision(row, self._sealer)) for row in rows], next_page_token=to_token(place)
        )

    async def EraseUser(  # noqa: N802 - the contract's name
        self, request: review_pb2.EraseUserRequest, context: Context
    ) -> review_pb2.EraseUserResponse:
        """Remove everything that is kept of one user."""
        await _require(request, ("user_id",), context)
        async with statuses(context):
            erased = await self._erase(request.app_id, request.user_id, self._identify(context))
        return review_pb2.EraseUserResponse(removed=erased.removed, proof=erased.proof)

    async def _decide(self, identity: str, state: ReviewState, note: str, context: Context) -> Item:
        async with statuses(context):
            return await self._desk.decide(identity, state, moderator=self._identify(context), note=note)

    async def _report(self, report: Report, context: Context) -> Item:
        async with statuses(context):
            item = await self._desk.report(report)
        self._watch.nudge()
        return item


async def _require(request: Any, fields: Sequence[str], context: Context) -> None:  # noqa: ANN401 - any of the requests
    problems = [Violation(name, "is required") for name in fields if not getattr(request, name)]
    problems += [
        Violation(name, f"must have at most {_LONGEST_ID} characters")
        for name in ("app_id", "message_id", "sender_id", "conversation_id", "reporter_id", "user_id")
        if len(getattr(request, name, "")) > _LONGEST_ID
    ]
    if problems:
        await abort_invalid(context, problems)


def _filter(asked: review_pb2.ReviewFilter, verdict: int = 0) -> HistoryFilter:
    return HistoryFilter(
        from_ms=_ms(getattr(asked, "from")) if asked.HasField("from") else None,
        until_ms=_ms(asked.until) if asked.HasField("until") else None,
        app_id=asked.app_id,
        conversation_id=asked.conversation_id,
        conversation_type=asked.conversation_type,
        sender_id=asked.sender_id,
        receiver_id=asked.receiver_id,
        message_id=asked.message_id,
        rule_id=asked.rule_id,
        label=asked.label,
        reason=asked.reason,
        verdict=verdict,
    )


def _ms(stamp: timestamp_pb2.Timestamp) -> int:
    return stamp.seconds * 1000 + stamp.nanos // 1_000_000
