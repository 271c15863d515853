"""What senders posted lately, shared by the gates of a fleet through Valkey, after the reply.

The flood detector counts on the event loop and cannot wait. So every gate counts what it sees at once, and tells the
server afterwards; the answer brings what other gates saw of the same sender, which counts from the sender's next
message on. A sender who spreads messages over N gates is thus found at most N - 1 messages later than at one gate, plus
what was posted within the few milliseconds of the exchange.
"""

import asyncio
import base64
import hashlib
import struct
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import structlog
from valkey.asyncio import Valkey

from modgate.detectors.flood import FloodDetector, Seen
from modgate.storage.valkey import AWAY, user_tag

__all__ = ["SharedFloods"]

_WAITING_AT_MOST = 5_000
_AT_ONCE = 200
_GATHER_SECONDS = 0.005
_LONGEST_PAUSE = 2.0

_EXCHANGE = """
-- Adds a message to those of a sender, and returns what other gates added since the last look, with its age in ms.
-- Members are GATE|MESSAGE|FINGERPRINT. The server's clock is the fleet's.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local window, gate, message, print = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local horizon, since = tonumber(ARGV[4]), tonumber(ARGV[5])
redis.call('ZREMRANGEBYSCORE', window, '-inf', now - horizon)
redis.call('ZADD', window, now, gate .. '|' .. message .. '|' .. print)
redis.call('ZREMRANGEBYRANK', window, 0, -1001)
redis.call('PEXPIRE', window, horizon)
local found = redis.call('ZRANGEBYSCORE', window, since, '+inf', 'WITHSCORES')
local others = {tostring(now)}
for i = 1, #found, 2 do
  if string.sub(found[i], 1, #gate + 1) ~= gate .. '|' then
    others[#others + 1] = string.sub(found[i], #gate + 2)
    others[#others + 1] = tostring(now - tonumber(found[i + 1]))
  end
end
return others
"""


class _Posted(NamedTuple):
    key: tuple[str, ...]
    seen: Seen
    horizon: float


class SharedFloods:
    """Tells and hears. While the server is away, slow or answers with errors, every gate counts for itself.

    Args:
        detector: This gate's.
        client: Valkey or Redis.
        prefix: Begins every key.
        now: Wall-clock seconds, as the detector counts them.
    """

    def __init__(
        self,
        detector: FloodDetector,
        client: Valkey,
        *,
        prefix: str = "modgate",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._detector = detector
        # The library types its methods for its blocking twin as well.
        self._client: Any = client
        self._exchange: Any = client.register_script(_EXCHANGE)
        self._prefix = prefix
        self._now = now
        self._gate = uuid.uuid4().hex[:12]
        self._posted: deque[_Posted] = deque(maxlen=_WAITING_AT_MOST)
        self._some = asyncio.Event()
        self._heard_ms: dict[tuple[str, ...], int] = {}
        self._log = structlog.get_logger("modgate.floods")
        self.away = False

    def posted(self, key: tuple[str, ...], seen: Seen, horizon: float) -> None:
        """Tell the other gates soon; returns at once."""
        self._posted.append(_Posted(key, seen, horizon))
        self._some.set()

    async def run(self) -> None:
        """Exchange until cancelled, whatever happens to the server."""
        pause = 0.1
        while True:
            await self._some.wait()
            # A few more may come meanwhile, and share the way.
            await asyncio.sleep(_GATHER_SECONDS)
            self._some.clear()
            told = 0
            try:
                while self._posted:
                    batch = [self._posted.popleft() for _ in range(min(_AT_ONCE, len(self._posted)))]
                    await self._tell(batch)
                    told += len(batch)
            except AWAY as error:
                if not self.away:
                    self._log.warning("valkey away, floods are counted by each gate alone", error=type(error).__name__)
                self.away = True
                await asyncio.sleep(pause)
                pause = min(_LONGEST_PAUSE, pause * 2)
                # Told now, it would count as posted now.
                self._posted.clear()
                continue
            if told:
                if self.away:
                    self._log.info("valkey back, floods shared")
                self.away = False
                pause = 0.1

    async def erase_user(self, app_id: str, user_id: str) -> int:
        """Remove what a user posted from the server and here; return how many keys that were."""
        self._detector.forget(app_id, user_id)
        pattern = f"{self._prefix}:f:{{{user_tag(app_id, user_id)}}}:*"
        keys = [key async for key in self._client.scan_iter(match=pattern, count=1000)]
        return int(await self._client.unlink(*keys)) if keys else 0

    async def _tell(self, batch: Sequence[_Posted]) -> None:
        async with self._client.pipeline(transaction=False) as pipe:
            for posted in batch:
                arguments = [
                    self._gate,
                    _token(posted),
                    _packed(posted.seen.print),
                    int(posted.horizon * 1000),
                    self._heard_ms.get(posted.key, 0),
                ]
                await self._exchange(keys=[self._name(posted.key)], args=arguments, client=pipe)
            answers = await pipe.execute()
        now = self._now()
        for posted, (now_ms, *others) in zip(batch, answers, strict=True):
            self._detector.merge(posted.key, list(_heard(others, now)))
            # A member of the same millisecond may come later, so that one is looked at again.
            self._heard_ms[posted.key] = int(now_ms)
        while len(self._heard_ms) > _WAITING_AT_MOST:
            del self._heard_ms[next(iter(self._heard_ms))]

    def _name(self, key: tuple[str, ...]) -> str:
        what = hashlib.sha256("\x00".join(key[2:]).encode()).hexdigest()[:16]
        return f"{self._prefix}:f:{{{user_tag(key[0], key[1])}}}:{what if key[2:] else 'app'}"


def _token(posted: _Posted) -> str:
    return posted.seen.id or uuid.uuid4().hex


def _packed(prints: frozenset[int]) -> str:
    return base64.b64encode(struct.pack(f"<{len(prints)}I", *prints)).decode() if prints else ""


def _heard(others: Sequence[str], now: float) -> Iterator[Seen]:
    for member, age_ms in zip(others[::2], others[1::2], strict=True):
        identity, _, packed = member.rpartition("|")
        raw = base64.b64decode(packed)
        yield Seen(identity, now - float(age_ms) / 1000, frozenset(struct.unpack(f"<{len(raw) // 4}I", raw)))
