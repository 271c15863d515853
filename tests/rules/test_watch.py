"""Hot reload, with real files and the real watcher."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from modgate.detectors.domains import DomainDetector
from modgate.rules import Document, RulesError, Ruleset, RulesSource, compile_ruleset

RULES = """\
version: 1
lists: {{sites: {{kind: domains, file: sites.txt}}}}
rules:
  - {{id: {name}, when: {{domain: {{list: sites}}}}, then: {{action: block}}}}
"""


class Watched:
    """A source under watch, and what it told."""

    def __init__(self, path: Path) -> None:
        self.told: asyncio.Queue[Ruleset | RulesError] = asyncio.Queue()
        self.source = RulesSource(
            path, self.build, self.told.put_nowait, self.told.put_nowait, debounce_ms=20, recheck_s=1
        )

    @staticmethod
    def build(document: Document) -> Ruleset:
        return compile_ruleset(document, {"domain": DomainDetector()})

    async def next(self) -> Ruleset | RulesError:
        return await asyncio.wait_for(self.told.get(), 20)


def write(folder: Path, name: str, sites: str = "evil.example\n") -> None:
    folder.mkdir(exist_ok=True)
    (folder / "sites.txt").write_text(sites)
    (folder / "rules.yaml").write_text(RULES.format(name=name))


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    write(tmp_path, "first")
    watched = Watched(tmp_path / "rules.yaml")
    task = asyncio.create_task(watched.source.run())
    yield watched
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def ids(watched: Watched) -> list[str]:
    told = await watched.next()
    assert isinstance(told, Ruleset), told
    return [rule.id for rule in told.rules]


async def test_a_change_of_the_file_is_put_in_force(watched: Watched, tmp_path: Path) -> None:
    """Saving the rules is all that it takes."""
    assert await ids(watched) == ["first"]
    (tmp_path / "rules.yaml").write_text(RULES.format(name="second"))
    assert await ids(watched) == ["second"]


async def test_a_change_of_a_list_is_put_in_force(watched: Watched, tmp_path: Path) -> None:
    """List files are watched like the rules, and the revision tells."""
    first = await watched.next()
    (tmp_path / "sites.txt").write_text("evil.example\nmore.example\n")
    second = await watched.next()
    assert isinstance(first, Ruleset)
    assert isinstance(second, Ruleset)
    assert first.revision != second.revision


async def test_a_bad_file_is_told_and_a_good_one_after_it_counts(watched: Watched, tmp_path: Path) -> None:
    """An error puts nothing in force and does not end the watch."""
    await watched.next()
    (tmp_path / "rules.yaml").write_text("version: 1\nrules: oops\n")
    told = await watched.next()
    assert isinstance(told, RulesError)
    assert told.problems[0].line == 2
    (tmp_path / "rules.yaml").write_text(RULES.format(name="third"))
    assert await ids(watched) == ["third"]


async def test_the_link_swap_of_a_config_map_is_seen(tmp_path: Path) -> None:
    """Kubernetes replaces the folder behind `..data`; the rule file itself is never written."""
    write(tmp_path / "..1", "first")
    write(tmp_path / "..2", "second")
    (tmp_path / "..data").symlink_to("..1")
    for name in ("rules.yaml", "sites.txt"):
        (tmp_path / name).symlink_to(Path("..data") / name)
    watched = Watched(tmp_path / "rules.yaml")
    task = asyncio.create_task(watched.source.run())
    assert await ids(watched) == ["first"]
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").rename(tmp_path / "..data")
    assert await ids(watched) == ["second"]
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_an_unexpected_error_of_a_detector_is_told_as_a_problem(tmp_path: Path) -> None:
    """Whatever compiling does, the watch lives on."""
    write(tmp_path, "first")
    errors: asyncio.Queue[RulesError] = asyncio.Queue()

    def build(document: Document) -> Ruleset:
        raise RuntimeError(f"broken by {document.model.rules[0].id}")

    source = RulesSource(tmp_path / "rules.yaml", build, lambda _: None, errors.put_nowait)
    task = asyncio.create_task(source.run())
    error = await asyncio.wait_for(errors.get(), 20)
    assert "cannot put the rules in force: broken by first" in str(error)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
