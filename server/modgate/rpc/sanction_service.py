"""SanctionService: imposes, lifts and lists sanctions."""

from collections.abc import Callable

from modgate.penalties.registry import SanctionRegistry
from modgate.penalties.sanction import Sanction, SanctionTarget
from modgate.review.search import from_token, to_token
from modgate.rpc.decision_record import to_sanction, to_timestamp
from modgate.rpc.errors import Violation, abort_invalid
from modgate.rpc.store_errors import Context, caller, page_size, statuses
from modgate.rules.ruleset import PenaltyType, SanctionScope
from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import sanctions_pb2, sanctions_pb2_grpc

__all__ = ["SanctionService"]

_LONGEST_SECONDS = 100 * 366 * 86_400
_LONGEST_ID = 255
_TARGETS = {sanctions_pb2.SanctionTarget.Value(f"SANCTION_TARGET_{t.name}"): t for t in SanctionTarget}
_TYPES = {pb.PenaltyType.Value(f"PENALTY_TYPE_{kind.name}"): kind for kind in PenaltyType}
_SCOPES = {pb.SanctionScope.Value(f"SANCTION_SCOPE_{scope.name}"): scope for scope in SanctionScope}


class SanctionService(sanctions_pb2_grpc.SanctionServiceServicer):
    """The control plane of sanctions.

    Args:
        registry: Does the work.
        identify: Names the caller, who becomes the author.
    """

    def __init__(self, registry: SanctionRegistry, *, identify: Callable[[Context], str] = caller) -> None:
        self._registry = registry
        self._identify = identify

    async def ImposeSanction(  # noqa: N802 - the contract's name
        self, request: sanctions_pb2.ImposeSanctionRequest, context: Context
    ) -> sanctions_pb2.ImposeSanctionResponse:
        """Put a sanction in force at once."""
        problems = _problems(request)
        if problems:
            await abort_invalid(context, problems)
        asked = request.sanction
        sanction = Sanction(
            id="",
            app_id=asked.app_id,
            target=_TARGETS.get(asked.target, SanctionTarget.USER),
            type=_TYPES[asked.type],
            scope=_scope(asked),
            user_id=asked.user_id,
            conversation_id=asked.conversation_id,
            for_user_id=asked.for_user_id,
            reason=asked.reason,
            author=self._identify(context),
            exempt_roles=tuple(asked.exempt_roles),
        )
        seconds = request.duration.ToTimedelta().total_seconds() if request.HasField("duration") else None
        async with statuses(context):
            imposed = await self._registry.impose(sanction, seconds=seconds)
        return sanctions_pb2.ImposeSanctionResponse(sanction=to_sanction(imposed))

    async def LiftSanction(  # noqa: N802 - the contract's name
        self, request: sanctions_pb2.LiftSanctionRequest, context: Context
    ) -> sanctions_pb2.LiftSanctionResponse:
        """End one before its time."""
        async with statuses(context):
            lifted = await self._registry.lift(request.id, author=self._identify(context), reason=request.reason)
        return sanctions_pb2.LiftSanctionResponse(sanction=to_sanction(lifted))

    async def ListSanctions(  # noqa: N802 - the contract's name
        self, request: sanctions_pb2.ListSanctionsRequest, context: Context
    ) -> sanctions_pb2.ListSanctionsResponse:
        """Return a page, newest first."""
        limit = await page_size(context, request.page_size, default=100, most=1000)
        async with statuses(context):
            page, place = await self._registry.page(
                app_id=request.app_id,
                user_id=request.user_id,
                conversation_id=request.conversation_id,
                include_ended=request.include_ended,
                limit=limit,
                before=from_token(request.page_token),
            )
        return sanctions_pb2.ListSanctionsResponse(
            sanctions=[to_sanction(sanction) for sanction in page], next_page_token=to_token(place)
        )

    async def ListSanctionEvents(  # noqa: N802 - the contract's name
        self, request: sanctions_pb2.ListSanctionEventsRequest, context: Context
    ) -> sanctions_pb2.ListSanctionEventsResponse:
        """Return a page of the audit trail, newest first."""
        limit = await page_size(context, request.page_size, default=100, most=1000)
        async with statuses(context):
            page, place = await self._registry.events(
                sanction_id=request.sanction_id, limit=limit, before=from_token(request.page_token)
            )
        return sanctions_pb2.ListSanctionEventsResponse(
            events=[
                sanctions_pb2.SanctionEvent(
                    sanction_id=event.sanction_id,
                    event=event.event,
                    author=event.author,
                    reason=event.reason,
                    at=to_timestamp(event.at_ms),
                )
                for event in page
            ],
            next_page_token=to_token(place),
        )


def _scope(asked: sanctions_pb2.Sanction) -> SanctionScope:
    by_place = SanctionScope.CONVERSATION if asked.conversation_id else SanctionScope.APP
    return _SCOPES.get(asked.scope, by_place)


def _problems(request: sanctions_pb2.ImposeSanctionRequest) -> list[Violation]:
    asked = request.sanction
    found = [Violation(f"sanction.{name}", "is required for this target and scope") for name in _missing(asked)]
    if asked.type not in _TYPES:
        found.append(Violation("sanction.type", "is required: say what to impose, such as PENALTY_TYPE_MUTE"))
    elif asked.target == sanctions_pb2.SANCTION_TARGET_CONVERSATION and asked.type != pb.PENALTY_TYPE_MUTE:
        found.append(Violation("sanction.type", "a whole conversation can only be muted"))
    found.extend(
        Violation(f"sanction.{name}", f"must have at most {_LONGEST_ID} characters")
        for name in ("app_id", "user_id", "conversation_id", "for_user_id")
        if len(getattr(asked, name)) > _LONGEST_ID
    )
    seconds = request.duration.seconds + request.duration.nanos / 1e9
    if request.HasField("duration") and not 0 < seconds < _LONGEST_SECONDS:
        found.append(Violation("duration", "must be positive and less than a hundred years; leave it out for ever"))
    return found


def _missing(asked: sanctions_pb2.Sanction) -> list[str]:
    target = _TARGETS.get(asked.target, SanctionTarget.USER)
    if target is SanctionTarget.CONVERSATION:
        needed = ["conversation_id"]
    elif target is SanctionTarget.USER_FOR_USER:
        needed = ["user_id", "for_user_id"]
    else:
        needed = ["user_id", "conversation_id"] if _scope(asked) is SanctionScope.CONVERSATION else ["user_id"]
    return [name for name in needed if not getattr(asked, name)]
