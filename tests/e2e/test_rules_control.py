"""Rules changed under a running server: who may, what it does to the next message, and what a killed process leaves."""

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from tests.e2e.certificates import Authority
from tests.e2e.serving import REPOSITORY, WORDS_ONLY, Server, request

from modgate.v1 import moderation_pb2 as pb
from modgate.v1 import rules_pb2, rules_pb2_grpc

pytestmark = pytest.mark.e2e

TOKEN = "let-me-in"  # noqa: S105 - of a server that lives as long as its test
SHOWN = (("authorization", f"Bearer {TOKEN}"), ("x-modgate-author", "ann"))
RULE = "id: {id}\nwhen: {{words: {{list: {words}}}}}\nthen: {{action: {action}}}\n"


@contextmanager
def store_mode(folder: Path, **settings: Any) -> Iterator[Server]:
    """A server whose rules are in a store."""
    more = {"rules_store": str(folder / "rules.db"), "control": {"token": TOKEN}, **settings}
    with Server(folder, {**WORDS_ONLY, **more}) as server:
        yield server


@contextmanager
def stub(server: Server, credentials: grpc.ChannelCredentials | None = None) -> Iterator[Any]:
    """The rules of its control plane."""
    address = server.control
    opened = grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address)
    with opened as channel:
        yield rules_pb2_grpc.RuleServiceStub(channel)


def upload(rules: Any, name: str, words: list[str]) -> rules_pb2.UploadListResponse:
    content = "\n".join(words).encode()
    chunks = [rules_pb2.UploadListRequest(list=rules_pb2.List(name=name))]
    chunks += [
        rules_pb2.UploadListRequest(chunk=content[start : start + 65_536]) for start in range(0, len(content), 65_536)
    ]
    answer: rules_pb2.UploadListResponse = rules.UploadList(iter(chunks), metadata=SHOWN, timeout=50)
    return answer


def test_a_change_is_in_force_on_the_next_message_and_survives_a_restart(tmp_path: Path) -> None:
    """The reply after the change names the ruleset that the change returned."""
    with store_mode(tmp_path) as server, stub(server) as rules:
        assert server.ask("slurword").verdict == pb.VERDICT_BLOCK
        upload(rules, "fresh", ["freshword"])
        rule = rules_pb2.Rule(yaml=RULE.format(id="fresh", words="fresh", action="mask"))
        created = rules.CreateRule(rules_pb2.CreateRuleRequest(rule=rule), metadata=SHOWN)
        answer = server.ask("a freshword")
        assert (answer.verdict, answer.masked_text) == (pb.VERDICT_MASK, "a *********")
        assert answer.ruleset_revision == created.ruleset_revision
        assert '"author": "ann"' in server.log()
        assert "freshword" not in server.log()
    with store_mode(tmp_path) as server:
        again = server.ask("a freshword")
        assert (again.verdict, again.ruleset_revision) == (pb.VERDICT_MASK, created.ruleset_revision)


def test_an_upload_of_100_000_words_is_in_force_when_it_returns(tmp_path: Path) -> None:
    """Also of a list that live rules use; the server answers messages all the while."""
    words = [f"zz{number:x}qx{number % 89}" for number in range(100_000)]
    with store_mode(tmp_path) as server, stub(server) as rules:
        upload(rules, "big", ["firstword"])
        rule = rules_pb2.Rule(yaml=RULE.format(id="big", words="big", action="block"))
        rules.CreateRule(rules_pb2.CreateRuleRequest(rule=rule), metadata=SHOWN)
        done = threading.Event()
        verdicts: list[int] = []

        def keep_asking() -> None:
            while not done.is_set():
                verdicts.append(server.ask("slurword").verdict)

        asking = threading.Thread(target=keep_asking)
        asking.start()
        uploaded = upload(rules, "big", words)
        done.set()
        asking.join()
        assert uploaded.list.entry_count == len(words)
        answer = server.ask(f"well {words[77_777]} then")
        assert (answer.verdict, answer.ruleset_revision) == (pb.VERDICT_BLOCK, uploaded.ruleset_revision)
        assert set(verdicts) == {pb.VERDICT_BLOCK}
        received = rules.GetList(rules_pb2.GetListRequest(name="big"), metadata=SHOWN)
        assert [entry for chunk in received for entry in chunk.entries] == words


def refusal(call: Any, message: Any, **options: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as refused:
        call(message, timeout=5, **options)
    code: grpc.StatusCode = refused.value.code()
    return code


def test_without_the_token_everything_is_refused(tmp_path: Path) -> None:
    """No token, a wrong one, and a server that has none: UNAUTHENTICATED, for every shape of call."""
    every: list[tuple[str, Any]] = [
        ("ListRules", rules_pb2.ListRulesRequest()),
        ("CreateRule", rules_pb2.CreateRuleRequest()),
        ("TestRules", rules_pb2.TestRulesRequest(request=request("hello"))),
        ("UploadList", iter([rules_pb2.UploadListRequest()])),
    ]
    with store_mode(tmp_path) as server, stub(server) as rules:
        for method, message in every:
            assert refusal(getattr(rules, method), message) is grpc.StatusCode.UNAUTHENTICATED
        wrong = (("authorization", f"Bearer {TOKEN}x"),)
        assert refusal(rules.ListRules, rules_pb2.ListRulesRequest(), metadata=wrong) is grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(grpc.RpcError) as refused:
            list(rules.GetList(rules_pb2.GetListRequest(name="slurs"), timeout=5))
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert rules.ListRules(rules_pb2.ListRulesRequest(), metadata=SHOWN).rules
    (tmp_path / "closed").mkdir()
    with store_mode(tmp_path / "closed", control={}) as server, stub(server) as rules:
        empty = (("authorization", "Bearer "),)
        assert refusal(rules.ListRules, rules_pb2.ListRulesRequest(), metadata=empty) is grpc.StatusCode.UNAUTHENTICATED


def test_with_mutual_tls_a_certificate_is_the_way_in(tmp_path: Path) -> None:
    """A client of the right authority needs no token; others do not get a connection."""
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    server_files, client_files = ours.issue("localhost"), ours.issue("console")
    strangers = theirs.issue("console")
    control = {
        "tls_cert": str(server_files.cert),
        "tls_key": str(server_files.key),
        "tls_client_ca": str(ours.cert),
    }
    with store_mode(tmp_path, control=control) as server:
        with stub(server, ours.credentials(client_files)) as rules:
            assert rules.ListRules(rules_pb2.ListRulesRequest(), timeout=5).rules
        for credentials in (ours.credentials(None), ours.credentials(strangers)):
            with stub(server, credentials) as rules:
                code = refusal(rules.ListRules, rules_pb2.ListRulesRequest())
                assert code in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
        environment = {
            "PYTHONPATH": str(REPOSITORY / "server"),
            "MODGATE_CLIENT_CERT": str(client_files.cert),
            "MODGATE_CLIENT_KEY": str(client_files.key),
        }
        command = [sys.executable, "-m", "modgate", "rules", "list", "--server", server.control, "--ca", str(ours.cert)]
        listed = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=True)
        assert "slurs\tlive" in listed.stdout


def test_the_exit_code_of_lint_says_whether_the_file_is_good(tmp_path: Path) -> None:
    """3 for a file that cannot be used, as in docs/cli.md."""
    (tmp_path / "bad.yaml").write_text("version: 1\nrules: [{id: x, when: {pii: [emial]}, then: {action: mask}}]\n")
    command = [sys.executable, "-m", "modgate", "lint", str(tmp_path / "bad.yaml")]
    environment = {"PYTHONPATH": str(REPOSITORY / "server")}
    linted = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert linted.returncode == 3, linted.stderr
    assert "did you mean email?" in linted.stdout


class Writer:
    """Changes one rule and one list as fast as the server lets it, and remembers what was acknowledged."""

    def __init__(self, rules: Any) -> None:
        self._rules = rules
        self.rule = self._get()
        self.list: int | None = None
        self.sent = 0
        self.pending: str | None = None

    def _get(self) -> rules_pb2.Rule:
        rule: rules_pb2.Rule = self._rules.GetRule(rules_pb2.GetRuleRequest(id="kept"), metadata=SHOWN).rule
        return rule

    def run(self) -> None:
        """Write until the server is gone."""
        try:
            while True:
                number = self.rule.revision + 1
                text = f"# change {number}\n" + RULE.format(id="kept", words="kept", action="mask")
                self.pending = text
                rule = rules_pb2.Rule(id="kept", yaml=text, etag=self.rule.etag)
                answer = self._rules.UpdateRule(rules_pb2.UpdateRuleRequest(rule=rule), metadata=SHOWN, timeout=10)
                self.rule = answer.rule
                self.sent = number
                upload(self._rules, "kept", [f"w{number}x{entry}" for entry in range(500)])
                self.list = number
        except grpc.RpcError:
            return


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_server_killed_in_the_middle_of_writes_leaves_a_whole_store(tmp_path: Path) -> None:
    """Twenty times: what was acknowledged is there, what was under way is there whole or not at all."""
    chance = random.Random(4)  # noqa: S311 - when to kill, the same in every run
    with store_mode(tmp_path) as server, stub(server) as rules:
        upload(rules, "kept", ["w0x0"])
        rule = rules_pb2.Rule(yaml=RULE.format(id="kept", words="kept", action="mask"))
        rules.CreateRule(rules_pb2.CreateRuleRequest(rule=rule), metadata=SHOWN)
    known = listed = sent = 0
    pending: str | None = None
    for _ in range(20):
        with store_mode(tmp_path) as server, stub(server) as rules:
            writer = Writer(rules)
            assert writer.rule.revision in {known, known + 1} or not known
            if known and writer.rule.revision == known + 1:
                assert writer.rule.yaml == pending
            entries = [
                e for c in rules.GetList(rules_pb2.GetListRequest(name="kept"), metadata=SHOWN) for e in c.entries
            ]
            # One upload or another, never some of each.
            versions = {int(entry[1:].partition("x")[0]) for entry in entries}
            assert len(versions) == 1
            assert len(entries) == (500 if versions != {0} else 1)
            assert versions <= {listed, sent}
            (listed,) = versions
            assert server.ask(entries[-1]).verdict == pb.VERDICT_MASK
            writing = threading.Thread(target=writer.run)
            writing.start()
            time.sleep(chance.uniform(0.02, 0.5))
            server.process.send_signal(signal.SIGKILL)
            writing.join()
            known, pending = writer.rule.revision, writer.pending
            listed, sent = writer.list or listed, writer.sent
