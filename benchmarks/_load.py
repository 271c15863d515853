"""Open-loop load: calls start when they are due, by a Poisson process, whether or not earlier ones were answered.

Latency is counted from the moment a call was due. A server that stalls therefore shows the stall in every call that
was due meanwhile: nothing is omitted because the client waited, too.
"""

import gc
import os
import select
import socket
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from benchmarks._frames import frame, unframe
from benchmarks._phase import BUDGET_S, CANCELLED_HERE, UNANSWERED, Phase
from benchmarks._wire import Connection, Done
from modgate.v1 import moderation_pb2 as pb

__all__ = ["BUDGET_S", "STREAM", "UNARY", "Line", "Phase", "closed_loop", "favour_this_process", "open_loop"]

UNARY = "/modgate.v1.ModerationService/Moderate"
STREAM = "/modgate.v1.ModerationService/ModerateStream"


class Line(Protocol):
    """A connection that takes encoded calls."""

    socket: socket.socket

    @property
    def wants_to_write(self) -> bool:
        """Whether bytes wait for the socket."""
        ...

    def call(self, tag: int, message: bytes) -> None:
        """Queue a call."""
        ...

    def flush(self) -> None:
        """Write what the socket takes."""
        ...

    def receive(self, done: Done) -> None:
        """Read what has come."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


def favour_this_process() -> bool:
    """Put the generator before the server in the scheduler's eyes, as a client on a machine of its own would be."""
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -10)
    except PermissionError:
        return False
    return True


def open_loop(
    address: str,
    messages: Sequence[bytes],
    rate: float,
    *,
    seed: int = 0,
    streamed: bool = False,
    frames: int = 1,
    connections: int = 2,
    timeout: float | None = BUDGET_S,
    drain_s: float = 1.5,
    server_cpu: Callable[[], float | None] = lambda: None,
    classify: bool = True,
    label: str = "",
    cancel_share: float = 0.0,
    keep: list[bytes] | None = None,
    each: list[float] | None = None,
    lines: Callable[[], Sequence[Line]] | None = None,
) -> Phase:
    """Send every message once, at Poisson times of the given rate, and return what came of it.

    Args:
        address: The server.
        messages: Encoded requests; on a stream their request ids must end in `-<index in hex>`.
        rate: Calls a second.
        seed: Of the arrival times.
        streamed: Over ModerateStream, one stream a connection, instead of unary calls.
        frames: Most messages in one frame of a stream; only what is due at the same moment shares one.
        connections: How many connections share the load.
        timeout: Deadline sent with unary calls.
        drain_s: Seconds to wait for answers after the last call was due.
        server_cpu: Tells the server's processor time.
        classify: Whether answers are ModerateResponses, to be counted by verdict and fallback.
        label: Shown with the progress on a terminal.
        cancel_share: Share of unary calls that are cancelled at a random moment within 10 ms.
        keep: Filled with the answers, one a message; empty where there was none.
        each: Filled with the seconds from the due time to the answer, one a message; NaN where there was none.
        lines: Opens the connections, if they are not gRPC's.
    """
    draw = np.random.default_rng(seed)
    dues: list[float] = np.cumsum(draw.exponential(1 / rate, len(messages))).tolist()
    cancels = _cancellations(draw, dues, cancel_share)
    run = _Run(messages, dues, cancels, streamed=streamed, frames=frames)
    run.connect(address, connections, timeout, lines)
    phase = _measured(run, lambda: run.drive(drain_s, label), server_cpu)
    phase.rate = rate
    run.judge(phase, classify=classify)
    if keep is not None:
        keep.extend(run.answers)
    if each is not None:
        each.extend(run.seconds())
    return phase


def closed_loop(
    address: str,
    messages: Sequence[bytes],
    *,
    in_flight: int,
    seconds: float,
    streamed: bool = False,
    frames: int = 1,
    connections: int = 2,
    server_cpu: Callable[[], float | None] = lambda: None,
    classify: bool = True,
    keep: list[bytes] | None = None,
    each: list[float] | None = None,
    lines: Callable[[], Sequence[Line]] | None = None,
) -> Phase:
    """Keep so many calls in flight for a while: what a saturated server gets done. Its latencies prove nothing.

    Args:
        address: The server.
        messages: Encoded requests; enough of them, for the phase ends with the last one.
        in_flight: Calls at once.
        seconds: How long.
        streamed: Over ModerateStream, one stream a connection.
        frames: Most messages in one frame of a stream.
        connections: How many connections share the load.
        server_cpu: Tells the server's processor time.
        classify: Whether answers are ModerateResponses, to be counted by verdict and fallback.
        keep: Filled with the answers, one a message; empty where there was none.
        each: Filled with the seconds from sending to the answer, one a message; NaN where there was none.
        lines: Opens the connections, if they are not gRPC's.
    """
    run = _Run(messages, [float("inf")] * len(messages), [], streamed=streamed, frames=frames)
    run.connect(address, connections, None, lines)
    phase = _measured(run, lambda: run.saturate(in_flight, seconds), server_cpu)
    run.judge(phase, classify=classify)
    if keep is not None:
        keep.extend(run.answers)
    if each is not None:
        each.extend(run.seconds())
    return phase


def _measured(run: "_Run", drive: Callable[[], None], server_cpu: Callable[[], float | None]) -> Phase:
    cpu_before = server_cpu()
    gc.collect()
    gc.disable()
    client_before = time.process_time()
    try:
        drive()
    finally:
        gc.enable()
        client_cpu = time.process_time() - client_before
        cpu_after = server_cpu()
        run.close()
    phase = Phase(0.0, sent=run.sent, client_cpu_s=client_cpu)
    if cpu_before is not None and cpu_after is not None:
        phase.server_cpu_s = cpu_after - cpu_before
    run.count(phase)
    return phase


class _Run:
    """The state of one open loop: when each call was due, sent and answered, and with what."""

    def __init__(
        self,
        messages: Sequence[bytes],
        dues: list[float],
        cancels: list[tuple[float, int]],
        *,
        streamed: bool,
        frames: int,
    ) -> None:
        count = len(messages)
        self.messages, self.dues, self.cancels, self.streamed = messages, dues, cancels, streamed
        self.sent_at, self.answered_at = array("d", bytes(8 * count)), array("d", bytes(8 * count))
        self.codes = array("h", [UNANSWERED]) * count
        self.answers: list[bytes] = [b""] * count
        self.remaining = count
        self.sent = 0
        self.start = 0.0
        self.saturated = False
        self.frames = frames
        self.turn = 0
        self.lines: list[Line] = []
        self.calls: list[Connection] = []
        self.streams: list[tuple[Connection, int]] = []
        self.in_time: npt.NDArray[np.bool_] = np.zeros(count, dtype=bool)

    def connect(
        self, address: str, connections: int, timeout: float | None, lines: Callable[[], Sequence[Line]] | None
    ) -> None:
        if lines is not None:
            self.lines = list(lines())
            return
        path, limit = (STREAM, None) if self.streamed else (UNARY, timeout)
        opened = [Connection(address, path, timeout=limit) for _ in range(connections)]
        if self.streamed:
            self.streams = [(line, line.open_stream(-1)) for line in opened]
        self.calls = opened
        self.lines = list(opened)
        for line in opened:
            line.flush()

    def close(self) -> None:
        for line in self.lines:
            line.close()

    def done(self, tag: int, now: float, status: int, payload: bytes) -> None:
        """Take an answer."""
        if not self.streamed:
            self._take(tag, now, status, payload)
        elif payload:
            for answer in unframe(payload):
                self._take(_index(answer), now, status, answer)

    def _take(self, tag: int, now: float, status: int, payload: bytes) -> None:
        if self.answered_at[tag] == 0.0:
            self.remaining -= 1
        self.answered_at[tag] = now
        self.codes[tag] = status
        self.answers[tag] = payload

    def drive(self, drain_s: float, label: str) -> None:
        """Send what is due and take what comes, until all is answered or the time to drain is over."""
        sockets = [line.socket for line in self.lines]
        lines = dict(zip(sockets, self.lines, strict=True))
        clock, dues, count = time.perf_counter, self.dues, len(self.dues)
        end = dues[-1] + drain_s
        longest = 0.0005 if self.cancels else 0.05
        self.start = shown = clock() + 0.02
        while self.remaining:
            self._send_due(clock() - self.start)
            if self.cancels:
                self._cancel_due(clock() - self.start)
            for line in self.lines:
                if line.wants_to_write:
                    line.flush()
            now = clock() - self.start
            if now > end:
                break
            wait = max(0.0, min((dues[self.sent] if self.sent < count else end) - now, longest))
            writers = [line.socket for line in self.lines if line.wants_to_write]
            for ready in select.select(sockets, writers, [], wait)[0]:
                lines[ready].receive(self.done)
            if label and clock() - shown > 0.5:
                shown = clock()
                _show(f"{label}: {self.sent}/{count} sent, {count - self.remaining} answered")
        if label:
            _show("")

    def saturate(self, in_flight: int, seconds: float) -> None:
        """Send whenever fewer than `in_flight` calls wait for an answer."""
        sockets = [line.socket for line in self.lines]
        lines = dict(zip(sockets, self.lines, strict=True))
        clock, count = time.perf_counter, len(self.dues)
        self.saturated = True
        self.start = clock()
        end = seconds
        while (now := clock() - self.start) < end and self.remaining:
            waiting = self.sent - (count - self.remaining)
            last = min(self.sent + in_flight - waiting, count)
            self.dues[self.sent : last] = [now] * (last - self.sent)
            while self.sent < last:
                self._send_due(now)
            for line in self.lines:
                if line.wants_to_write:
                    line.flush()
            writers = [line.socket for line in self.lines if line.wants_to_write]
            for ready in select.select(sockets, writers, [], 0.05)[0]:
                lines[ready].receive(self.done)
        # What is on its way when the time is over is neither answered nor missing.
        self.sent = count - self.remaining

    def _send_due(self, now: float) -> None:
        dues, lines, i = self.dues, self.lines, self.sent
        # No more at once than a socket takes well; answers are read in between.
        last = min(i + 64, len(dues))
        first = i
        while i < last and dues[i] <= now:
            self.sent_at[i] = now
            if not self.streamed:
                lines[i % len(lines)].call(i, self.messages[i])
            i += 1
        if self.streamed:
            for start in range(first, i, self.frames):
                together = self.messages[start : min(start + self.frames, i)]
                line, stream = self.streams[self.turn % len(self.streams)]
                self.turn += 1
                line.send(stream, frame(together) if self.frames > 1 else together[0])
        self.sent = i

    def _cancel_due(self, now: float) -> None:
        while self.cancels and self.cancels[-1][0] <= now:
            tag = self.cancels.pop()[1]
            if self.answered_at[tag] == 0.0 and self.calls[tag % len(self.calls)].cancel(tag):
                self.answered_at[tag] = time.perf_counter()
                self.codes[tag] = CANCELLED_HERE
                self.remaining -= 1

    def count(self, phase: Phase) -> None:
        """Work out latencies and who was late."""
        due, sent = np.array(self.dues), np.frombuffer(self.sent_at)
        answered = np.frombuffer(self.answered_at) - self.start
        got = np.frombuffer(self.answered_at) > 0
        made = got if self.saturated else np.arange(len(due)) < self.sent
        phase.answered = int(got.sum())
        if phase.answered:
            phase.seconds = float(answered[got].max() - due[0])
        phase.codes.update(np.frombuffer(self.codes, dtype=np.int16)[made].tolist())
        judged = got & (np.frombuffer(self.codes, dtype=np.int16) != CANCELLED_HERE)
        from_due, from_send = (answered - due)[judged], (answered - sent)[judged]
        missing = int((made & ~got).sum())
        self.in_time = got & (answered - due <= BUDGET_S)
        phase.late = int((from_due > BUDGET_S).sum()) + missing
        late = made & ~self.in_time & (np.frombuffer(self.codes, dtype=np.int16) != CANCELLED_HERE)
        phase.last_late_s = float(due[late].max() - due[0]) if late.any() else 0.0
        phase.late_from_send = int((from_send > BUDGET_S).sum()) + missing
        for histogram, values in ((phase.latency, from_due), (phase.service, from_send)):
            for value in (values * 1e6).astype(int).clip(1).tolist():
                histogram.record_value(value)
        lag = (sent - due)[made] * 1e6
        if lag.size:
            p50, p99, most = np.percentile(lag, (50, 99, 100))
            phase.lag_us = (float(p50), float(p99), float(most))

    def seconds(self) -> list[float]:
        """Return for each call the time from its being due to its answer; NaN without one."""
        answered = np.frombuffer(self.answered_at)
        found: list[float] = np.where(answered > 0, answered - self.start - np.array(self.dues), np.nan).tolist()
        return found

    def judge(self, phase: Phase, *, classify: bool) -> None:
        """Count answers by what they say; without `classify`, every OK in time counts as decided."""
        for code, answer, in_time in zip(self.codes, self.answers, self.in_time.tolist(), strict=True):
            if code != 0 or not answer:
                continue
            if classify:
                response = pb.ModerateResponse.FromString(answer)
                phase.verdicts[pb.Verdict.Name(response.verdict).removeprefix("VERDICT_")] += 1
                if response.HasField("fallback"):
                    reason = pb.FallbackReason.Name(response.fallback.reason)
                    phase.fallbacks[reason.removeprefix("FALLBACK_REASON_")] += 1
                    continue
            phase.decided += in_time


def _cancellations(draw: np.random.Generator, dues: list[float], share: float) -> list[tuple[float, int]]:
    if not share:
        return []
    chosen = np.flatnonzero(draw.random(len(dues)) < share).tolist()
    moments = [(dues[tag] + float(draw.random()) * 0.01, tag) for tag in chosen]
    return sorted(moments, reverse=True)


def _index(payload: bytes) -> int:
    """Return the index that a streamed answer's request id ends in, without parsing the rest if it comes first."""
    if payload[0] == 0x0A:
        return int(payload[2 : 2 + payload[1]].rpartition(b"-")[2], 16)
    return int(pb.ModerateResponse.FromString(payload).request_id.rpartition("-")[2], 16)


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[2K{text}")
        sys.stderr.flush()
