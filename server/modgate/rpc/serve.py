"""`modgate serve`: the order in which everything starts, and the reverse order in which it stops."""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, aclosing

import structlog
from prometheus_client import start_http_server

from modgate.assembly import Engine, build_engine
from modgate.gate import Gate, RecentAnswers
from modgate.inference.cores import cpu_quota
from modgate.review.memory import Memory
from modgate.rpc.control import memory_services
from modgate.rpc.health import Health
from modgate.rpc.lag import LoopLag
from modgate.rpc.moderation_service import ModerationService
from modgate.rpc.permits import Permits
from modgate.rpc.rule_service import RuleService
from modgate.rpc.ruleset_source import RulesetSource
from modgate.rpc.server import ListenError, Listeners, caught_signal
from modgate.rpc.translate import model_versions
from modgate.rpc.validate import Limits
from modgate.settings import Settings
from modgate.telemetry import GateObserver, Metrics, configure_logs

__all__ = ["serve"]

_SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter while another waits for it. A worker needs it a few times a batch; with
Python's default of 5 ms a busy event loop would make every batch wait ten times longer than it computes."""

_YOUNG_OBJECTS = 20_000
"""Allocations between collections: a message makes a few hundred objects, nearly all freed by reference count."""


async def serve(settings: Settings, until: Callable[[], Awaitable[str]] | None = None) -> None:
    """Serve until told to stop.

    Args:
        settings: What to serve.
        until: Asked once the server is ready, returns the reason to stop; SIGTERM or SIGINT if absent.

    Raises:
        BundleError, RulesError, ListenError, ValueError: If it cannot start, with what to do.
    """
    started = time.monotonic()
    configure_logs(settings.log.level, settings.log.format)
    log = structlog.get_logger("modgate.server")
    metrics = Metrics()
    observer = GateObserver(metrics, log_text=settings.log.text, log_decisions=settings.log.decisions)
    async with AsyncExitStack() as stack:
        # From the first moment: as process 1 a signal that nobody catches is lost, and one during the start counts too.
        until = until or stack.enter_context(caught_signal())
        if settings.metrics_listen:
            stack.callback(_serve_metrics(settings.metrics_listen, metrics))
        log.info("loading", cores=cpu_quota(), bundles=[settings.models.text, *settings.models.images])
        engine = await _engine(settings, observer, stack)
        if settings.fault:
            log.warning("DRILL: detectors misbehave on purpose", faults=list(settings.fault))
        memory = Memory(settings.storage, floods=engine.floods) if settings.storage is not None else None
        if memory is not None:
            stack.push_async_callback(memory.stop)
        rules = await stack.enter_async_context(aclosing(RulesetSource(settings, engine.compile, metrics)))
        gate = Gate(
            await rules.open(),
            observer=observer,
            sanctions=memory.book if memory is not None else None,
            violations=memory.violations if memory is not None else None,
        )
        rules.follow(gate)
        if memory is not None:
            await memory.start(gate.ruleset.rules)
            metrics.read_all(memory.figures)
        lag = LoopLag()
        lag.start()
        stack.callback(lag.stop)
        metrics.gauge("loop_lag_seconds").set_function(lambda: lag.seconds)
        _watch_engine(engine, metrics)
        limits = Limits(
            text_bytes=settings.limits.text_bytes,
            media=settings.limits.media,
            media_bytes=settings.limits.media_bytes,
        )
        service = ModerationService(
            gate,
            limits=limits,
            permits=Permits(settings.limits.in_flight, settings.limits.in_flight_per_app),
            recent=RecentAnswers(keep_seconds=settings.recent_seconds),
            metrics=metrics,
            models=model_versions(engine.bundles),
            reserve=settings.reserve_ms / 1000,
            stream_window=settings.limits.stream_window,
            lag=lag,
            journal=memory.history if memory is not None else None,
        )
        rule_service = RuleService(
            rules, lambda: gate.ruleset, limits=limits, models=model_versions(engine.bundles), file=settings.rules
        )
        await stack.enter_async_context(aclosing(rule_service))
        health = Health()
        await health.start()
        listeners = Listeners(service, health, settings.limits)
        bound = await listeners.listen(settings.listen)
        stack.push_async_callback(listeners.stop, settings.drain_seconds)
        control = ""
        if settings.control_listen:
            control = await listeners.listen_control(
                settings.control_listen,
                settings.control,
                [("modgate.v1.RuleService", rule_service.register), *memory_services(memory)],
            )
        for component in ("rules", "models", "accepting"):
            await health.set(component, ready=True)
        # What lives now lives for ever: the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS, 20, 50)
        sys.setswitchinterval(_SWITCH_SECONDS)
        _say_ready(bound, control, settings, gate, time.monotonic() - started)
        reason = await until()
        log.info("stopping", reason=reason, in_flight=metrics.registry.get_sample_value("modgate_in_flight"))
    log.info("stopped")


async def _engine(settings: Settings, observer: GateObserver, stack: AsyncExitStack) -> Engine:
    engine = await asyncio.to_thread(build_engine, settings, observer, apart=True)
    stack.callback(engine.close)
    await engine.start()
    return engine


def _watch_engine(engine: Engine, metrics: Metrics) -> None:
    metrics.gauge("queue_depth").set_function(lambda: engine.runner.depth() + engine.viewers.depth())
    scorer = engine.by_language or engine.cascade or engine.text
    if scorer is not None:
        metrics.read("score_cache_hits", lambda: scorer.cache.hits)
        metrics.read("score_cache_misses", lambda: scorer.cache.misses)
    if (cascade := engine.cascade) is not None:
        metrics.read("cascade_plain", lambda: cascade.plain)
    if (languages := engine.by_language) is not None:
        metrics.read("other_languages", lambda: languages.passed_on)
    for bundles in engine.bundles.values():
        for bundle in bundles:
            name, version = bundle.manifest.name, bundle.manifest.version
            metrics.gauge("model_info").labels(name, version, bundle.digest[:12]).set(1)


def _serve_metrics(address: str, metrics: Metrics) -> Callable[[], None]:
    host, _, port = address.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host or "127.0.0.1", registry=metrics.registry)
    except (OSError, ValueError) as error:
        raise ListenError(f"cannot serve metrics on {address}: {error}") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return stop


def _say_ready(bound: list[str], control: str, settings: Settings, gate: Gate, seconds: float) -> None:
    places = [f"moderation on {', '.join(bound)}"]
    if control:
        places.append(f"control on {control}")
    if settings.metrics_listen:
        places.append(f"metrics on http://{settings.metrics_listen}/metrics")
    line = f"modgate ready: {'; '.join(places)}; ruleset {gate.ruleset.revision} ({seconds:.1f} s)"
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
