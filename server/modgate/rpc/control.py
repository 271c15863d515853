"""What the control plane serves, by what this server was given."""

from modgate.review.erasure import Erased
from modgate.review.memory import Memory
from modgate.rpc.review_service import ReviewService
from modgate.rpc.sanction_service import SanctionService
from modgate.rpc.server import Register
from modgate.v1.review_pb2_grpc import add_ReviewServiceServicer_to_server
from modgate.v1.sanctions_pb2_grpc import add_SanctionServiceServicer_to_server

__all__ = ["memory_services"]


def memory_services(memory: Memory | None) -> list[tuple[str, Register]]:
    """Return the services over what the gate remembers; none if it remembers nothing."""
    if memory is None:
        return []

    async def erase(app_id: str, user_id: str, author: str) -> Erased:
        return await memory.erase_user(app_id, user_id, author=author)

    review = ReviewService(memory.desk, memory.watch, memory.database, memory.sealer, erase)
    sanctions = SanctionService(memory.registry)
    return [
        ("modgate.v1.ReviewService", lambda server: add_ReviewServiceServicer_to_server(review, server)),
        ("modgate.v1.SanctionService", lambda server: add_SanctionServiceServicer_to_server(sanctions, server)),
    ]
