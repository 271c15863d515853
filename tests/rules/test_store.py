"""Stored rules: revisions, concurrency, lists, crashes."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import modgate
from modgate.detectors.cheap import cheap_detectors
from modgate.rules import Document, RulesError, Ruleset, compile_ruleset, load_document, parse_document
from modgate.rules.records import ExistsError, ListInUseError, NotFoundError, StaleError, StoreRefusal
from modgate.rules.store import RuleStore
from modgate.rules.stored import StoredRules

ONE = "id: one\nwhen: {pii: [email]}\nthen: {action: mask}\n"
TWO = "id: two\nwhen: {words: {list: bad}}\nthen: {action: block}\n"


class Desk:
    """Stored rules over a file, and every ruleset that came in force."""

    def __init__(self, path: Path) -> None:
        self.in_force: list[Ruleset] = []
        self.told: asyncio.Queue[str] = asyncio.Queue()
        self.detectors = cheap_detectors()
        self.store = RuleStore(path, now=lambda: 1000.0)
        self.rules = StoredRules(self.store, self.build, self.put_in_force)

    def build(self, document: Document) -> Ruleset:
        return compile_ruleset(document, self.detectors)

    def put_in_force(self, ruleset: Ruleset) -> None:
        self.in_force.append(ruleset)
        self.told.put_nowait(ruleset.revision)

    @property
    def ids(self) -> list[str]:
        return [rule.id for rule in self.in_force[-1].rules]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path / "rules.db")
    await desk.rules.open()
    yield desk
    desk.store.close()


async def test_a_created_rule_is_in_force_and_still_there_after_a_restart(desk: Desk, tmp_path: Path) -> None:
    """Create returns once the rule counts; the file remembers."""
    stored = await desk.rules.create_rule(ONE, "ann")
    assert (stored.revision, stored.author, stored.mode, stored.changed_at) == (1, "ann", "live", 1000.0)
    assert desk.ids == ["one"]
    again = Desk(tmp_path / "rules.db")
    assert (await again.rules.open()).revision == desk.in_force[-1].revision == desk.rules.revision
    assert await again.rules.rule("one") == stored
    again.store.close()


async def test_every_change_is_another_ruleset(desk: Desk) -> None:
    """Revisions of rule and ruleset change together."""
    first = await desk.rules.create_rule(ONE, "ann")
    second = await desk.rules.update_rule("one", ONE.replace("mask", "block"), first.etag, "bob")
    assert (second.revision, second.author) == (2, "bob")
    assert second.etag != first.etag
    assert desk.in_force[-1].rules[0].revision == 2
    assert len({ruleset.revision for ruleset in desk.in_force}) == 3


async def test_of_concurrent_updates_one_wins_and_the_others_learn_the_etag(desk: Desk) -> None:
    """Nobody overwrites what they have not read."""
    first = await desk.rules.create_rule(ONE, "ann")
    texts = [ONE.replace("mask", action) for action in ("block", "replace", "allow")]
    updates = [desk.rules.update_rule("one", text, first.etag, "bob") for text in texts]
    results = await asyncio.gather(*updates, return_exceptions=True)
    won = [result for result in results if not isinstance(result, Exception)]
    lost = [result for result in results if isinstance(result, StaleError)]
    assert (len(won), len(lost)) == (1, 2)
    assert {error.etag for error in lost} == {(await desk.rules.rule("one")).etag}


async def test_an_update_without_etag_is_refused(desk: Desk) -> None:
    """Forgetting the etag is not a way around it."""
    await desk.rules.create_rule(ONE, "ann")
    with pytest.raises(StaleError):
        await desk.rules.update_rule("one", ONE, "", "bob")


async def test_a_rule_that_cannot_run_is_neither_stored_nor_in_force(desk: Desk) -> None:
    """Its problems are told with line and path; nothing changes."""
    with pytest.raises(RulesError) as caught:
        await desk.rules.create_rule(TWO, "ann")
    assert str(caught.value) == 'rule.yaml:2: when.words.list: there is no list "bad"; there are none'
    with pytest.raises(RulesError, match=r'rule.yaml:3: then.action: "blok" is not an action'):
        await desk.rules.create_rule(ONE.replace("mask", "blok"), "ann")
    assert desk.ids == []
    assert await desk.rules.rules() == ([], "")


async def test_revisions_are_kept_and_rolled_back_to(desk: Desk) -> None:
    """Also a deleted rule comes back, with its history."""
    first = await desk.rules.create_rule(ONE, "ann")
    second = await desk.rules.update_rule("one", ONE.replace("mask", "block"), first.etag, "bob")
    back = await desk.rules.rollback_rule("one", 1, second.etag, "cid")
    assert (back.revision, back.yaml, back.author) == (3, ONE, "cid")
    await desk.rules.delete_rule("one", "dan", back.etag)
    assert desk.ids == []
    with pytest.raises(NotFoundError):
        await desk.rules.rule("one")
    again = await desk.rules.rollback_rule("one", 2, "", "eve")
    assert again.revision == 5
    history, token = await desk.rules.rule_revisions("one")
    assert [(r.revision, r.author, r.deleted) for r in history] == [
        (5, "eve", False),
        (4, "dan", True),
        (3, "cid", False),
        (2, "bob", False),
        (1, "ann", False),
    ]
    assert token == ""
    page, token = await desk.rules.rule_revisions("one", 2)
    rest, _ = await desk.rules.rule_revisions("one", 0, token)
    assert page + rest == history


async def test_creating_what_exists_and_changing_what_does_not_is_refused(desk: Desk) -> None:
    """Each refusal has its own type."""
    await desk.rules.create_rule(ONE, "ann")
    with pytest.raises(ExistsError):
        await desk.rules.create_rule(ONE, "ann")
    with pytest.raises(NotFoundError):
        await desk.rules.update_rule("two", ONE.replace("one", "two"), "x", "ann")
    with pytest.raises(NotFoundError):
        await desk.rules.delete_rule("two", "ann")
    with pytest.raises(RulesError, match="the id of rule"):
        await desk.rules.update_rule("two", ONE, "x", "ann")


async def test_rules_are_listed_in_pages_and_by_mode(desk: Desk) -> None:
    """Ids are the order and the cursor."""
    for name in ("c", "a", "b"):
        mode = "draft" if name == "b" else "live"
        await desk.rules.create_rule(f"mode: {mode}\n" + ONE.replace("one", name), "ann")
    first, token = await desk.rules.rules(2)
    second, end = await desk.rules.rules(2, token)
    assert [[r.id for r in page] for page in (first, second)] == [["a", "b"], ["c"]]
    assert end == ""
    assert [r.id for r in (await desk.rules.rules(mode="draft"))[0]] == ["b"]


async def test_lists_are_uploaded_changed_used_and_deleted(desk: Desk) -> None:
    """A list that rules use cannot vanish under them."""
    stored = await desk.rules.upload_list("bad", "kind: words\n", b"one\n\ntwo\r\n# note\n", "", "ann")
    assert (stored.entry_count, stored.revision) == (2, 1)
    await desk.rules.create_rule(TWO, "ann")
    changed = await desk.rules.update_list_entries("bad", ["three"], ["one"], stored.etag, "bob")
    assert (changed.revision, changed.author) == (2, "bob")
    assert (await desk.rules.list_entries("bad"))[1] == ("two", "three")
    with pytest.raises(StaleError):
        await desk.rules.update_list_entries("bad", ["x"], [], stored.etag, "bob")
    with pytest.raises(ListInUseError, match="is used by two"):
        await desk.rules.delete_list("bad")
    await desk.rules.delete_rule("two", "ann")
    await desk.rules.delete_list("bad", changed.etag)
    assert await desk.rules.lists() == []


@pytest.mark.parametrize("content", [b"", b"# only notes\n", b"\xff\n", b"x" * 501])
async def test_an_upload_that_is_no_list_changes_nothing(desk: Desk, content: bytes) -> None:
    """Empty, binary and endless uploads are refused with the reason."""
    with pytest.raises(ValueError, match=r"no entries|not UTF-8|characters"):
        await desk.rules.upload_list("bad", "kind: words", content, "", "ann")
    assert await desk.rules.lists() == []


async def test_an_unsaved_rule_can_be_tried_alone(desk: Desk) -> None:
    """A trial runs one rule live, whatever its mode, and leaves the rest as it is."""
    await desk.rules.create_rule("mode: draft\n" + ONE, "ann")
    before = desk.in_force[-1].revision
    assert [r.id for r in (await desk.rules.compile_alone("one")).rules] == ["one"]
    assert [r.id for r in (await desk.rules.compile_alone(text=ONE.replace("one", "new"))).rules] == ["new"]
    with pytest.raises(NotFoundError):
        await desk.rules.compile_alone("nothing")
    assert desk.in_force[-1].revision == before


async def test_an_empty_store_is_seeded_with_a_rule_file_once(tmp_path: Path) -> None:
    """Starting from the rules that ship gives the same verdicts as the file."""
    document = load_document("builtin:default")
    desk = Desk(tmp_path / "rules.db")
    ruleset = await desk.rules.open(seed=document)
    expected = desk.build(document)
    assert {r.id: r.effect for r in ruleset.rules} == {r.id: r.effect for r in expected.rules}
    assert {leaf.text for leaf in ruleset.leaves} == {leaf.text for leaf in expected.leaves}
    await desk.rules.delete_rule("slurs", "ann")
    desk.store.close()
    again = Desk(tmp_path / "rules.db")
    reopened = await again.rules.open(seed=parse_document("x", "version: 1"))
    assert "profanity" in {rule.id for rule in reopened.rules}
    assert "slurs" not in {rule.id for rule in reopened.rules}
    again.store.close()


async def test_what_another_process_writes_comes_in_force(desk: Desk, tmp_path: Path) -> None:
    """Two gates may share one file; each sees the other's changes."""
    task = asyncio.create_task(desk.rules.watch(lambda error: pytest.fail(str(error)), every_s=0.02))
    other = Desk(tmp_path / "rules.db")
    await other.rules.open()
    await other.rules.create_rule(ONE, "bob")
    async with asyncio.timeout(10):
        while desk.ids != ["one"]:
            await desk.told.get()
    task.cancel()
    other.store.close()


def test_a_store_of_the_future_is_refused(tmp_path: Path) -> None:
    """An older gate does not write into a newer one's file."""
    store = RuleStore(tmp_path / "rules.db")
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreRefusal, match="has schema 99"):
        RuleStore(tmp_path / "rules.db")


WRITER = """
import sys
from modgate.rules.store import RuleStore
store = RuleStore(sys.argv[1])
words = [f"word{i}" for i in range(20000)]
print("ready", flush=True)
n = 0
while True:
    n += 1
    store.put_list("bad", f"kind: words\\ndescription: '{n}'", [f"{n}", *words], "writer")
"""


@pytest.mark.slow
def test_killed_in_the_middle_of_a_write_the_store_opens_with_one_whole_revision(tmp_path: Path) -> None:
    """Whenever the process dies, settings and entries of a list are of one revision."""
    path = tmp_path / "rules.db"
    environment = {**os.environ, "PYTHONPATH": str(Path(modgate.__file__).parents[1])}
    for delay in range(8):
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
            assert process.stdout is not None
            process.stdout.readline()
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.05 + delay * 0.013)
            process.send_signal(signal.SIGKILL)
        store = RuleStore(path)
        stored, entries = store.list_with_entries("bad")
        assert entries[0] in stored.yaml
        assert len(entries) == stored.entry_count == 20001
        store.close()
