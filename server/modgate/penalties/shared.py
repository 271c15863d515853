"""Violation counters that a fleet shares through Valkey, with the local ones behind them."""

import asyncio
import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from valkey.asyncio import Valkey

from modgate.gate.decision import Earned, Penalty
from modgate.message import Message
from modgate.penalties.sanction import Sanction, earned_sanction
from modgate.penalties.violations import Claim, LocalViolations, claims_of, penalty_of
from modgate.penalties.window import is_permanent
from modgate.rules.ruleset import Rule
from modgate.storage.breaker import CircuitBreaker
from modgate.storage.valkey import user_tag

__all__ = ["SharedViolations"]

_REMEMBER_SECONDS = 600.0

_COUNT = """
-- Counts one violation for each claim and says which of them it earns. The server's clock is the fleet's.
-- Per claim, 3 keys: window, cool-down, outcome of this message; 8 arguments, see `_arguments`.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local outcomes = {}
for claim = 0, #KEYS / 3 - 1 do
  local window, cooling, outcome = KEYS[claim * 3 + 1], KEYS[claim * 3 + 2], KEYS[claim * 3 + 3]
  local at = claim * 8
  local member, again = ARGV[at + 1], ARGV[at + 2] == '1'
  local weight, after, within = tonumber(ARGV[at + 3]), tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5])
  local cooldown, half_life = tonumber(ARGV[at + 6]), tonumber(ARGV[at + 7])
  local sanction = ARGV[at + 8]
  local known = again and redis.call('GET', outcome)
  if known then
    outcomes[claim + 1] = known
  else
    redis.call('ZREMRANGEBYSCORE', window, '-inf', now - within)
    redis.call('ZADD', window, now, member)
    redis.call('ZREMRANGEBYRANK', window, 0, -10001)
    local count = redis.call('ZCARD', window)
    local points = count * weight
    if half_life > 0 then
      points = 0
      local times = redis.call('ZRANGE', window, 0, -1, 'WITHSCORES')
      for i = 2, #times, 2 do
        points = points + weight * 2 ^ (-(now - tonumber(times[i])) / half_life)
      end
    end
    local lasting = string.sub(sanction, 1, 1) == '!'
    local earned = points >= after and not (lasting and count < 2) and redis.call('EXISTS', cooling) == 0
    if earned then
      redis.call('DEL', window)
      if cooldown > 0 then redis.call('SET', cooling, '1', 'PX', cooldown) end
    else
      redis.call('PEXPIRE', window, within)
    end
    outcomes[claim + 1] = earned and string.sub(sanction, 2) or ''
    if again then
      redis.call('SET', outcome, outcomes[claim + 1], 'PX', math.max(within, 600000))
    end
  end
end
return outcomes
"""


class SharedViolations:
    """Asks Valkey within a small budget; in vain, the local counters answer and the answer is marked degraded.

    The local counters see every violation of this gate, so that they go on from there when the server is away. An
    answer that comes too late still puts its sanction in force, though the gateway is not told.

    Args:
        local: The counters of this gate.
        client: Valkey or Redis.
        prefix: Begins every key.
        budget: Seconds that a message may wait.
        breaker: Spares messages the wait while the server is away.
        publish: Told of every sanction that was earned here.
        late: Told of sanctions that were earned by an answer that came too late; has to store them.
    """

    def __init__(
        self,
        local: LocalViolations,
        client: Valkey,
        *,
        prefix: str = "modgate",
        budget: float = 0.02,
        breaker: CircuitBreaker,
        publish: Callable[[Sanction], None] = lambda _: None,
        late: Callable[[Sanction], None] = lambda _: None,
    ) -> None:
        self._local = local
        # The library types its methods for its blocking twin as well.
        self._client: Any = client
        self._count: Any = client.register_script(_COUNT)
        self._prefix = prefix
        self._budget = budget
        self.breaker = breaker
        self._publish = publish
        self._late = late
        self._asking: set[asyncio.Task[list[str]]] = set()
        self.degraded = 0

    async def record(self, message: Message, hits: Sequence[Rule], now: float) -> Earned:
        """Count hits in the fleet and return what the sender has earned."""
        known = self._local.recall(message, now)
        if known is not None:
            return known
        claims = list(claims_of(message, hits, now))
        if not claims:
            return Earned()
        if not self.breaker.allows():
            return self._degrade(message, hits, now)
        asking = asyncio.create_task(self._ask(message, claims))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        await asyncio.wait({asking}, timeout=self._budget)
        if not asking.done():
            self.breaker.failed()
            earned = self._degrade(message, hits, now)
            asking.add_done_callback(lambda done: self._came_late(done, message, claims, earned, now))
            return earned
        if asking.cancelled() or asking.exception() is not None:
            self.breaker.failed()
            return self._degrade(message, hits, now)
        self.breaker.succeeded()
        return self._settle(message, claims, asking.result(), now)

    async def erase_user(self, app_id: str, user_id: str) -> int:
        """Remove a user's counters from the server; return how many keys that were."""
        pattern = f"{self._prefix}:v:{{{user_tag(app_id, user_id)}}}:*"
        keys = [key async for key in self._client.scan_iter(match=pattern, count=1000)]
        return int(await self._client.unlink(*keys)) if keys else 0

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.aclose()

    async def _ask(self, message: Message, claims: Sequence[Claim]) -> list[str]:
        keys: list[str] = []
        arguments: list[str] = []
        tag = user_tag(message.app_id, message.sender.id)
        member = f"{message.conversation.id}\x00{message.id}" if message.id else uuid.uuid4().hex
        member = hashlib.sha256(member.encode()).hexdigest()[:32]
        for claim in claims:
            what = hashlib.sha256("\x00".join(map(str, claim.key[2:])).encode()).hexdigest()[:32]
            window = f"{self._prefix}:v:{{{tag}}}:{what}"
            keys += [window, f"{window}:cooling", f"{window}:{member}"]
            arguments += _arguments(claim, member, repeatable=bool(message.id))
        outcomes: list[str] = await self._count(keys=keys, args=arguments)
        return outcomes

    def _settle(self, message: Message, claims: Sequence[Claim], outcomes: Sequence[str], now: float) -> Earned:
        penalties: list[Penalty] = []
        shadow: list[Penalty] = []
        keep = _REMEMBER_SECONDS
        for claim, identity in zip(claims, outcomes, strict=True):
            keep = max(keep, claim.clause.within.total_seconds())
            if identity:
                self._local.clear(claim, now)
                (shadow if claim.shadow else penalties).append(penalty_of(claim, identity))
            else:
                self._local.add(claim, now)
        earned = Earned(tuple(penalties), tuple(shadow))
        self._impose(message, earned, now)
        self._local.keep(message, earned, now + keep)
        return earned

    def _degrade(self, message: Message, hits: Sequence[Rule], now: float) -> Earned:
        self.degraded += 1
        earned = replace(self._local.count(message, hits, now), degraded=True)
        self._local.keep(message, earned, now + _REMEMBER_SECONDS)
        for penalty in earned.penalties:
            self._publish(earned_sanction(penalty, message, now))
        return earned

    def _came_late(
        self, done: "asyncio.Task[list[str]]", message: Message, claims: Sequence[Claim], told: Earned, now: float
    ) -> None:
        if done.cancelled() or done.exception() is not None:
            return
        imposed = {penalty.sanction_id for penalty in told.penalties}
        for claim, identity in zip(claims, done.result(), strict=True):
            if identity and not claim.shadow and identity not in imposed:
                self._local.clear(claim, now)
                penalty = penalty_of(claim, identity)
                self._impose(message, Earned((penalty,)), now)
                self._late(earned_sanction(penalty, message, now))

    def _impose(self, message: Message, earned: Earned, now: float) -> None:
        self._local.impose(message, earned, now)
        for penalty in earned.penalties:
            self._publish(earned_sanction(penalty, message, now))


def _arguments(claim: Claim, member: str, *, repeatable: bool) -> list[str]:
    clause = claim.clause
    return [
        member,
        "1" if repeatable else "0",
        repr(float(clause.weight)),
        repr(float(clause.after)),
        str(int(clause.within.total_seconds() * 1000)),
        str(int(clause.cooldown.total_seconds() * 1000)),
        str(0 if clause.decay is None else int(clause.decay.total_seconds() * 1000)),
        ("!" if is_permanent(clause) else "-") + claim.sanction_id,
    ]
