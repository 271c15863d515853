"""Peers: the same ONNX model and the same messages behind other servers, side by side in one run.

- `python -m benchmarks peers`: modgate, plain FastAPI, LitServe, BentoML, MLServer; what does not install is skipped,
  with the reason.

Each peer is installed into an environment of its own under `--cache`, and does less than modgate: it scores the text,
and that is all. Every one runs as its documentation advises for two cores (workers, batches of 8). Load: the same
generator for all, gRPC for modgate and HTTP/1.1 with 64 keep-alive connections for the others. Two figures: verdicts a
second when saturated, and the highest Poisson rate whose p99 stays within the bound.
"""

import argparse
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks._bare import text_bundle
from benchmarks._http import http_lines, post
from benchmarks._load import Line, Phase, closed_loop, favour_this_process, open_loop
from benchmarks._mix import requests, texts
from benchmarks._options import common, settings_for, stem
from benchmarks._process import Running, at_ease, modgate
from benchmarks._report import environment, finish, say, table
from benchmarks._search import highest_rate

_SERVERS = Path(__file__).parent / "peer_servers"
_SHARED = ("onnxruntime", "tokenizers", "numpy")
_IN_FLIGHT, _LINES = 24, 64


@dataclass(frozen=True, slots=True)
class _Peer:
    """How to install, start and ask a peer.

    Attributes:
        name: As it is known.
        packages: What to install, the model's runtime apart.
        command: Arguments behind the environment's bin folder; `{port}` and `{folder}` are filled in.
        path: Of the call.
        body: Makes a call's JSON.
        files: Written into the folder before the start.
    """

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    path: str
    body: Callable[[str], Any]
    files: Callable[[int], dict[str, Any]] = field(default=lambda _port: {})


def _mlserver_files(port: int) -> dict[str, Any]:
    return {
        "settings.json": {
            "host": "127.0.0.1", "http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port(),
            "parallel_workers": 2, "debug": False,
        },
        "model-settings.json": {
            "name": "scores", "implementation": "with_mlserver.Scores", "max_batch_size": 8, "max_batch_time": 0.002,
        },
    }  # fmt: skip


_PEERS = {
    peer.name: peer
    for peer in (
        _Peer(
            "FastAPI", ("fastapi", "uvicorn[standard]"),
            ("uvicorn", "plain_fastapi:app", "--port", "{port}", "--workers", "2", "--log-level", "warning"),
            "/score", lambda text: {"text": text},
        ),
        _Peer(
            "LitServe", ("litserve",), ("python", str(_SERVERS / "with_litserve.py"), "{port}"),
            "/predict", lambda text: {"text": text},
        ),
        _Peer(
            "BentoML", ("bentoml",),
            ("bentoml", "serve", "with_bentoml:Scores", "--host", "127.0.0.1", "--port", "{port}", "--working-dir",
             str(_SERVERS)),
            "/score", lambda text: {"text": [text]},
        ),
        _Peer(
            "MLServer", ("mlserver", "uvloop<0.22"), ("mlserver", "start", "{folder}"), "/v2/models/scores/infer",
            lambda text: {"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [text]}]},
            _mlserver_files,
        ),
    )
}  # fmt: skip


def main(argv: list[str]) -> int:
    """Run, print, and tell by the status whether the thresholds hold."""
    parser = common("peers", __doc__, seconds=4, mix="unique")
    parser.add_argument("--peers", default=",".join(_PEERS), help="separated by commas (default all)")
    parser.add_argument("--p99-ms", type=float, default=50.0, help="bound of the rate search (default 50)")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modgate-benchmarks"
    parser.add_argument("--cache", type=Path, default=cache, help=f"where peers are installed (default {cache})")
    parser.add_argument("--prepare", action="store_true", help="install the peers and do nothing else")
    options = parser.parse_args(argv)
    if options.smoke:
        options.seconds = 1.5
    chosen = [_PEERS[name] for name in options.peers.split(",")]
    homes = {peer.name: home for peer in chosen if (home := _install(peer, options.cache))}
    if options.prepare:
        return 0
    report: dict[str, Any] = {"benchmark": "peers", "environment": environment()}
    report["configuration"] = {
        "mix": options.mix.name, "seconds": options.seconds, "p99_bound_ms": options.p99_ms, "in_flight": _IN_FLIGHT,
        "http_connections": _LINES, "favoured": favour_this_process(),
    }  # fmt: skip
    rows = [_modgate(options, streamed=False), _modgate(options, streamed=True)]
    for peer in chosen:
        if peer.name in homes:
            try:
                rows.append(_peer(peer, homes[peer.name], options))
            except (RuntimeError, OSError) as error:
                say(f"skipped {peer.name}: {error}")
    report["rows"] = rows
    figures = _figures(rows)
    _show(report, rows, figures)
    return finish("peers", report, figures, smoke=False, json_file=options.json, plot_file=options.plot, draw=_draw)


def _install(peer: _Peer, cache: Path) -> Path | None:
    """Return the environment with a peer in it, made if need be; None if it does not install."""
    home = cache / peer.name.lower()
    done = home / "installed.json"
    wanted = [*peer.packages, *(f"{name}=={metadata.version(name)}" for name in _SHARED)]
    if done.exists() and json.loads(done.read_text()) == wanted:
        return home
    say(f"installing {peer.name} into {home}")
    shutil.rmtree(home, ignore_errors=True)
    steps = (
        [sys.executable, "-m", "venv", str(home)],
        [str(home / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", *wanted],
    )
    for step in steps:
        result = subprocess.run(step, capture_output=True, text=True, check=False)  # noqa: S603 - fixed programs
        if result.returncode:
            say(f"skipped {peer.name}: {' '.join(step[1:3])} failed: {result.stderr.strip()[-300:]}")
            return None
    done.write_text(json.dumps(wanted))
    return home


def _modgate(options: argparse.Namespace, *, streamed: bool) -> dict[str, Any]:
    fresh = itertools.count(100 * streamed)
    with modgate(settings_for(options.mix)) as server:

        def messages(count: int) -> list[bytes]:
            return requests(options.mix, stem(options.seed, next(fresh)), count)

        row = _measure("modgate stream" if streamed else "modgate unary", server, messages, options, streamed=streamed)
    version = metadata.version("modgate") if _installed("modgate") else "from source"
    return row | {"version": version}


def _installed(package: str) -> bool:
    try:
        metadata.version(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _peer(peer: _Peer, home: Path, options: argparse.Namespace) -> dict[str, Any]:
    seeds = itertools.count()
    with _running(peer, home) as server:

        def messages(count: int) -> list[bytes]:
            lines = itertools.islice(texts(options.mix, stem(options.seed, next(seeds))), count)
            return [post(peer.path, json.dumps(peer.body(line)).encode()) for line in lines]

        row = _measure(peer.name, server, messages, options, lines=lambda: http_lines(server.address, _LINES))
    known = subprocess.run(  # noqa: S603 - fixed program
        [str(home / "bin" / "pip"), "--disable-pip-version-check", "show", peer.packages[0]],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    version = next((line.split()[1] for line in known.stdout.splitlines() if line.startswith("Version:")), "?")
    return row | {"version": version}


@contextmanager
def _running(peer: _Peer, home: Path) -> Iterator[Running]:
    bundle = text_bundle()
    spec = bundle.manifest.text
    if spec is None:
        raise RuntimeError(f"{bundle.manifest.name} is not a text bundle")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="modgate-benchmark-") as name:
        folder = Path(name)
        model = {
            "model": str(bundle.model.resolve()), "tokenizer": str(bundle.file(spec.tokenizer).resolve()),
            "max_tokens": spec.max_tokens, "prefix": spec.prefix, "ids": spec.ids, "mask": spec.mask,
            "lengths": spec.lengths, "logits": spec.logits,
        }  # fmt: skip
        (folder / "model.json").write_text(json.dumps(model))
        for file, content in peer.files(port).items():
            (folder / file).write_text(json.dumps(content))
        command = [part.format(port=port, folder=folder) for part in peer.command]
        command[0] = str(home / "bin" / command[0])
        own = {
            "MODGATE_PEER_MODEL": str(folder / "model.json"), "PYTHONPATH": str(_SERVERS), "HOME": str(folder),
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}", "BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(folder),
            "TOKENIZERS_PARALLELISM": "false",
        }  # fmt: skip
        log = folder / "peer.log"
        with log.open("wb") as sink:
            process = subprocess.Popen(  # noqa: S603 - the peer
                at_ease(command), stdout=sink, stderr=sink, cwd=folder, env={**os.environ, **own}
            )
        running = Running(f"127.0.0.1:{port}", process)
        try:
            _wait(running, post(peer.path, json.dumps(peer.body("hello")).encode()), log)
            yield running
        finally:
            running.stop(family=True)


def _wait(server: Running, call: bytes, log: Path) -> None:
    """Wait until a peer answers.

    Raises:
        RuntimeError: If it does not, with the end of its log.
    """
    until = time.monotonic() + 90
    while time.monotonic() < until and server.process is not None and server.process.poll() is None:
        try:
            phase = closed_loop(
                server.address, [call] * 3, in_flight=1, seconds=5, classify=False,
                lines=lambda: http_lines(server.address, 1),
            )  # fmt: skip
        except OSError:
            phase = Phase(0.0)
        if phase.codes[0] == 3:
            return
        time.sleep(0.3)
    raise RuntimeError(f"it did not answer: {log.read_text(errors='replace')[-600:]}")


def _measure(
    name: str,
    server: Running,
    messages: Callable[[int], list[bytes]],
    options: argparse.Namespace,
    *,
    streamed: bool = False,
    lines: Callable[[], Sequence[Line]] | None = None,
) -> dict[str, Any]:
    """Return the two figures of one server."""
    judged = lines is None
    seconds = options.seconds

    def saturated() -> Phase:
        return closed_loop(
            server.address, messages(round(6_000 * seconds)), in_flight=_IN_FLIGHT, seconds=seconds, streamed=streamed,
            server_cpu=server.cpu_s, classify=judged, lines=lines,
        )  # fmt: skip

    saturated()  # warms up
    full = saturated()

    def measure(rate: float) -> Phase:
        return open_loop(
            server.address, messages(max(20, round(rate * seconds))), rate, seed=next(seeds), streamed=streamed,
            timeout=None, server_cpu=server.cpu_s, classify=judged, label=f"{name} {rate:.0f}/s", lines=lines,
        )  # fmt: skip

    seeds = itertools.count()
    low, best = highest_rate(measure, max(10.0, 0.8 * full.goodput), bound_ms=options.p99_ms)
    cores = full.server_cpu_s / full.seconds if full.server_cpu_s is not None else 0.0
    return {
        "name": name,
        "saturated_per_s": round(full.goodput, 1),
        "errors": full.errors,
        "server_cores": round(cores, 2),
        "client_cores": round(full.client_cpu_s / full.seconds, 2),
        "highest_rate": round(low, 1),
        "its_p50_ms": best.ms(50) if best else None,
        "its_p99_ms": best.ms(99) if best else None,
        "rss_mb": server.rss_mb(),
        "bound_by": "processor"
        if cores + full.client_cpu_s / full.seconds > 0.85 * (os.cpu_count() or 1)
        else "itself",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    own = max(row["highest_rate"] for row in rows if row["name"].startswith("modgate"))
    peers = [row["highest_rate"] for row in rows if not row["name"].startswith("modgate")]
    figures = {"modgate_highest_rate": float(own)}
    if peers and max(peers):
        figures["modgate_of_best_peer"] = own / max(peers)
    return figures


def _show(report: dict[str, Any], rows: list[dict[str, Any]], figures: dict[str, float]) -> None:
    when = report["environment"]
    say(f"{when['date']} revision {when['revision']}, load before {when['machine']['load_before']}")
    columns = ["name", "version", "saturated_per_s", "highest_rate", "its_p50_ms", "its_p99_ms", "server_cores",
               "client_cores", "bound_by", "rss_mb", "errors"]  # fmt: skip
    title = f"same model and messages (mix {report['configuration']['mix']}), a second"
    table(title, [column.replace("_", " ") for column in columns], [[row[c] for c in columns] for row in rows])
    if "modgate_of_best_peer" in figures:
        bound = report["configuration"]["p99_bound_ms"]
        say(f"modgate takes {figures['modgate_of_best_peer']:.2f} times the best peer's rate at p99 <= {bound:g} ms")


def _draw(picture: Any, report: dict[str, Any]) -> None:  # noqa: ANN401 - matplotlib's figure
    axes = picture.add_subplot()
    names = [row["name"] for row in report["rows"]]
    for shift, key, label in ((-0.2, "saturated_per_s", "saturated"), (0.2, "highest_rate", "highest rate in bound")):
        bars = axes.barh(
            [i + shift for i in range(len(names))], [row[key] for row in report["rows"]], 0.38, label=label
        )
        axes.bar_label(bars, fmt="%.0f", padding=3)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlabel("messages a second")
    axes.legend()
