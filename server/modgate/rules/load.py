"""From a file to a valid document: all problems at once, each with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from pydantic import ValidationError

from modgate.rules.advice import advise
from modgate.rules.lists import BUILTIN, allowed_of, entries_of, list_path
from modgate.rules.problems import Problem, RulesError
from modgate.rules.schema import DocumentModel, Include, ListKind, ListModel, RuleModel
from modgate.rules.yaml_source import Loc, Source, read_yaml

__all__ = ["DEFAULT_RULES", "Document", "load_document", "parse_document"]

DEFAULT_RULES = "builtin:default"
"""Name of the rules that the package ships."""
PACK = "pack:"
_MAX_INCLUDES = 100
_SIMPLE = ("profanity", "contact-details")
AUTOMOD: dict[str, tuple[str, ...]] = {
    "disabled": (),
    "simple": _SIMPLE,
    "ai": (
        *_SIMPLE,
        "hate",
        "toxicity",
        "threats",
        "sexual",
        "self-harm",
        "spam",
        "scam",
        "images-explicit",
        "images-gore",
    ),
}
"""The packs that each level of `automod` switches on."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one rule or list was written."""

    source: Source
    loc: Loc


@dataclass(frozen=True, slots=True)
class Document:
    """A valid rule file with everything that it includes and refers to.

    Attributes:
        model: The document, packs merged in.
        entries: Entries of each list by name.
        files: Files that it was read from, for watching.
        origins: Where rules (`rules`, id) and lists (`lists`, name) were written.
        source: The main file.
    """

    model: DocumentModel
    entries: Mapping[str, tuple[str, ...]]
    files: tuple[Path, ...] = ()
    origins: Mapping[tuple[str, str], Origin] = field(default_factory=dict)
    source: Source = field(default_factory=lambda: Source("rules"))

    def problem(self, kind: str, name: str, loc: Loc, cause: str, example: str = "") -> Problem:
        """Return a problem inside the rule or list that is called `name`, at its place in the file.

        Args:
            kind: `rules` or `lists`.
            name: Id of the rule or name of the list.
            loc: Path inside of it.
            cause: What is wrong.
            example: What to write instead.
        """
        origin = self.origins.get((kind, name), Origin(self.source, (kind, name)))
        return origin.source.problem((*origin.loc, *loc), cause, example)


class _Assembly:
    """Reads a document and what it includes, gathering problems on the way."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.rules: list[RuleModel] = []
        self.lists: dict[str, ListModel] = {}
        self.written: dict[str, ListModel] = {}
        self.entries: dict[str, tuple[str, ...]] = {}
        self.origins: dict[tuple[str, str], Origin] = {}
        self.files: list[Path] = []
        self.seen: set[str] = set()

    def add(self, name: str, text: bytes | str, base: Path | None) -> tuple[DocumentModel | None, Source]:
        """Take in one document, its includes first so that its own rules stand last."""
        try:
            data, source = read_yaml(name, text)
        except RulesError as error:
            self.problems.extend(error.problems)
            return None, Source(name)
        try:
            model = DocumentModel.model_validate(data)
        except ValidationError as error:
            self.problems.extend(advise(error, source, data))
            return None, source
        packs = (Include(from_=f"{PACK}{name}") for name in AUTOMOD[model.automod])
        for index, include in enumerate((*model.include, *packs)):
            self._include(include, source, ("include", index), base)
        for list_name, item in model.lists.items():
            self._list(list_name, item, Origin(source, ("lists", list_name)), base)
        for index, rule in enumerate(model.rules):
            self._rule(rule, Origin(source, ("rules", index)))
        return model, source

    def _include(self, what: Include, source: Source, loc: Loc, base: Path | None) -> None:
        include = what.from_
        if include in self.seen:
            return
        self.seen.add(include)
        if len(self.seen) > _MAX_INCLUDES:
            self.problems.append(source.problem(loc, f"more than {_MAX_INCLUDES} files are included"))
            return
        try:
            if include.startswith(PACK):
                text, below = _pack(include.removeprefix(PACK)), None
            else:
                path = _beside(base, include)
                text, below = path.read_bytes(), path.parent
                self.files.append(path)
        except OSError as error:
            self.problems.append(source.problem(loc, f"cannot read {include}: {error.strerror or error}"))
        except ValueError as error:
            self.problems.append(source.problem(loc, str(error), "write e.g. include: [pack:profanity]"))
        else:
            before = len(self.rules)
            self.add(include, text, below)
            changes = {key: value for key in ("mode", "scope") if (value := getattr(what, key)) is not None}
            self.rules[before:] = [rule.model_copy(update=changes) for rule in self.rules[before:]]

    def _list(self, name: str, item: ListModel, origin: Origin, base: Path | None) -> None:
        if name in self.written and self.written[name] == item:
            return
        if name in self.written:
            first = self.origins["lists", name].source
            cause = f'there is another list "{name}" in {first.name}'
            self.problems.append(origin.source.problem(origin.loc, cause, "rename one of them"))
            return
        self.origins["lists", name] = origin
        self.written[name] = item
        self.lists[name] = item
        try:
            self.entries[name] = entries_of(item, base)
            if item.kind is ListKind.WORDS:
                self.lists[name] = item.model_copy(update={"allow": allowed_of(item)})
            if item.file is not None and not item.file.startswith(BUILTIN):
                path = list_path(item.file, base)
                if isinstance(path, Path):
                    self.files.append(path)
        except ValueError as error:
            self.problems.append(origin.source.problem((*origin.loc, "file"), str(error)))

    def _rule(self, rule: RuleModel, origin: Origin) -> None:
        known = self.origins.get(("rules", rule.id))
        if known is not None:
            place = known.source.problem(known.loc, "")
            cause = f'there is another rule "{rule.id}" in {place.source}:{place.line}'
            self.problems.append(origin.source.problem((*origin.loc, "id"), cause, f"write e.g. id: {rule.id}-2"))
            return
        self.origins["rules", rule.id] = origin
        self.rules.append(rule)


def _beside(base: Path | None, include: str) -> Path:
    if base is None:
        raise ValueError("rules that do not come from a file can include packs only")
    return base / include


def _pack(name: str) -> bytes:
    folder = resources.files("modgate") / "data" / "packs"
    names = sorted(p.name.removesuffix(".yaml") for p in folder.iterdir() if p.name.endswith(".yaml"))
    if name not in names:
        raise ValueError(f'the package has no pack "{name}"; it has {", ".join(names) or "none"}')
    return (folder / f"{name}.yaml").read_bytes()


def parse_document(name: str, text: bytes | str, base: Path | None = None) -> Document:
    """Return the document that `text` holds.

    Args:
        name: What to call it in messages.
        text: YAML.
        base: Folder that its list files and includes are relative to; None forbids both.

    Raises:
        RulesError: With all problems of the document, its includes and its list files.
    """
    assembly = _Assembly()
    model, source = assembly.add(name, text, base)
    if model is None or assembly.problems:
        raise RulesError(assembly.problems)
    merged = model.model_copy(
        update={"rules": tuple(assembly.rules), "lists": assembly.lists, "include": (), "automod": "disabled"}
    )
    return Document(merged, assembly.entries, tuple(assembly.files), assembly.origins, source)


def load_document(path: Path | str) -> Document:
    """Return the document in a file, or the package's default one for `builtin:default`.

    Raises:
        RulesError: With all problems of the document, its includes and its list files.
    """
    if str(path) == DEFAULT_RULES:
        text = (resources.files("modgate") / "data" / "rules" / "default.yaml").read_bytes()
        return parse_document(DEFAULT_RULES, text)
    file = Path(path)
    try:
        text = file.read_bytes()
    except OSError as error:
        raise RulesError([Problem(str(path), 0, 0, "", f"cannot read it: {error.strerror or error}")]) from error
    document = parse_document(str(path), text, file.parent)
    return Document(document.model, document.entries, (file, *document.files), document.origins, document.source)
