"""What a rule store holds, read once and kept."""

from dataclasses import dataclass, field

from modgate.rules.load import Document, Origin
from modgate.rules.records import StoredRule
from modgate.rules.schema import DocumentModel, ListModel, RuleModel
from modgate.rules.store import RuleStore
from modgate.rules.written import read_list_settings, read_rule
from modgate.rules.yaml_source import Source, read_yaml

__all__ = ["StoreState", "load_state"]


@dataclass(slots=True)
class StoreState:
    """All of it; a change touches one rule or list of a copy, not all of them."""

    settings: DocumentModel
    rules: dict[str, tuple[RuleModel, Source]] = field(default_factory=dict)
    lists: dict[str, tuple[ListModel, Source, tuple[str, ...]]] = field(default_factory=dict)

    def copy(self) -> "StoreState":
        """Return one that can be changed."""
        return StoreState(self.settings, dict(self.rules), dict(self.lists))

    def document(self) -> Document:
        """Return everything as one document; its problems are told at the places of the single rules."""
        rules = [self.rules[rule_id] for rule_id in sorted(self.rules)]
        model = self.settings.model_copy(
            update={
                "rules": tuple(rule for rule, _ in rules),
                "lists": {name: item for name, (item, _, _) in sorted(self.lists.items())},
            }
        )
        origins = {("rules", rule.id): Origin(source, ()) for rule, source in rules}
        origins |= {("lists", name): Origin(source, ()) for name, (_, source, _) in self.lists.items()}
        entries = {name: words for name, (_, _, words) in self.lists.items()}
        return Document(model, entries, (), origins, Source("store"))


def _read_settings(text: str) -> DocumentModel:
    data, _ = read_yaml("settings", text or "version: 1")
    return DocumentModel.model_validate(data)


def _rule_of(stored: StoredRule) -> tuple[RuleModel, Source]:
    model, source = read_rule(stored.yaml, f"rule {stored.id}")
    return model.model_copy(update={"revision": stored.revision}), source


def load_state(store: RuleStore) -> tuple[int, StoreState]:
    """Read everything, and return the store's version with it. For a thread.

    Raises:
        RulesError: If what is stored cannot be read.
    """
    # The number first: a write in between is then seen at the next look, never missed.
    version = store.version()
    state = StoreState(_read_settings(store.settings()))
    state.rules = {stored.id: _rule_of(stored) for stored in store.rules()}
    for item in store.lists():
        stored, entries = store.list_with_entries(item.name)
        state.lists[item.name] = (*read_list_settings(stored.yaml, f"list {item.name}"), entries)
    return version, state
