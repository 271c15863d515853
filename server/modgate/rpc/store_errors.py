"""The store's errors as statuses of the control plane."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from sqlalchemy.exc import DataError

from modgate.penalties.registry import NoSuchSanctionError
from modgate.review.desk import AlreadyDecidedError, NoSuchItemError, UnknownReasonError
from modgate.review.search import BadPageTokenError
from modgate.rpc.errors import Violation, abort_invalid
from modgate.storage.database import StoreAwayError, StoreTimeoutError

__all__ = ["Context", "Identify", "caller", "page_size", "statuses"]

Context = grpc.aio.ServicerContext[Any, Any]

_MODERATOR = "modgate-moderator"


class Identify:
    """Who calls: the name that the caller gives in the metadata `modgate-moderator`.

    The control plane's token admits the console; the console vouches for its moderators.
    """

    def __call__(self, context: Context) -> str:
        """Return the caller's name, or `unknown`."""
        for key, value in context.invocation_metadata() or ():
            if key == _MODERATOR and isinstance(value, str) and value:
                return value[:255]
        return "unknown"


caller = Identify()


@asynccontextmanager
async def statuses(context: Context) -> AsyncIterator[None]:
    """End the call with the right status if the store's work inside raises."""
    try:
        yield
    except AlreadyDecidedError as error:
        await context.abort(grpc.StatusCode.ABORTED, str(error))
    except (NoSuchItemError, NoSuchSanctionError) as error:
        await context.abort(grpc.StatusCode.NOT_FOUND, str(error.args[0]))
    except BadPageTokenError as error:
        await abort_invalid(context, [Violation("page_token", str(error))])
    except UnknownReasonError as error:
        await abort_invalid(context, [Violation("reason", str(error))])
    except DataError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a value has characters that cannot be stored")
    except StoreAwayError:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "the store is away; try again")
    except StoreTimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, "the store took too long; narrow the question")


async def page_size(context: Context, asked: int, *, default: int, most: int) -> int:
    """Return the rows of a page, or end the call if the number makes no sense."""
    if asked < 0:
        await abort_invalid(context, [Violation("page_size", "must not be negative")])
    return min(asked, most) or default
