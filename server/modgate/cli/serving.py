"""`modgate serve` and `modgate healthcheck`."""

import asyncio
from pathlib import Path
from typing import Annotated

import grpc
import typer
import uvloop
from grpc_health.v1 import health_pb2

from modgate.cli.errors import Failure, expected
from modgate.rpc.serve import serve as run_server
from modgate.settings import load_settings, origins

__all__ = ["healthcheck", "serve"]


def serve(
    config: Annotated[Path | None, typer.Option(help="Settings file, YAML.")] = None,
    rules: Annotated[str | None, typer.Option(help="Rule file, or builtin:default.")] = None,
    rules_store: Annotated[
        Path | None, typer.Option(help="SQLite file of rules that may be changed while serving; seeded from --rules.")
    ] = None,
    listen: Annotated[list[str] | None, typer.Option(help="host:port or unix:path; may be repeated.")] = None,
    control: Annotated[str | None, typer.Option(help="Address of the control plane.")] = None,
    metrics: Annotated[str | None, typer.Option(help="host:port of the metrics.")] = None,
    fault: Annotated[
        list[str] | None, typer.Option(help="Drill: DETECTOR=delay:500ms, hang or error; may be repeated.")
    ] = None,
    print_config: Annotated[
        bool, typer.Option("--print-config", help="Show every setting and where it comes from, and exit.")
    ] = False,
) -> None:
    """Serve verdicts until SIGTERM or Ctrl-C."""
    flags = {
        "rules": rules,
        "rules_store": rules_store,
        "listen": tuple(listen or ()),
        "control_listen": control,
        "metrics_listen": metrics,
        "fault": tuple(fault or ()),
    }
    with expected():
        if print_config:
            for name, value, origin in origins(config, flags):
                typer.echo(f"{name} = {value!r}  ({origin})")
            return
        settings = load_settings(config, flags)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_server(settings))


def healthcheck(
    address: Annotated[str, typer.Argument(help="Address of a running server.")] = "127.0.0.1:50051",
    service: Annotated[str, typer.Option(help="readiness, liveness, rules, models or a service's full name.")] = "",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for an answer.")] = 1.0,
) -> None:
    """Exit with 0 if the server says that it is serving."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        try:
            answer = ask(health_pb2.HealthCheckRequest(service=service), timeout=timeout)
        except grpc.RpcError as error:
            reason = error.details() if isinstance(error, grpc.Call) else str(error)
            raise Failure(f"no answer from {address}: {reason}", "unreachable") from error
    status = health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
    if answer.status != health_pb2.HealthCheckResponse.SERVING:
        raise Failure(f"{address} is {status}")
    typer.echo(status)
