"""The rule file: every key, its meaning and its bounds. Published as JSON Schema for editors."""

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from modgate.message import ConversationType
from modgate.rules.conditions import Condition
from modgate.rules.ruleset import Mode, PenaltyType, SanctionScope
from modgate.rules.values import Duration, Fraction, Name, Names, Strict

__all__ = [
    "Action",
    "Budget",
    "ConversationFilter",
    "Defaults",
    "DocumentModel",
    "Fallback",
    "Filters",
    "Include",
    "ListKind",
    "ListModel",
    "Mask",
    "MessageType",
    "NoticeModel",
    "PenaltyModel",
    "RuleModel",
    "ScopeModel",
    "Then",
]

Fallback = Literal["send", "block"]


class Action(StrEnum):
    """What a rule does with the message."""

    ALLOW = "allow"
    MASK = "mask"
    REPLACE = "replace"
    BLOCK = "block"


class ListKind(StrEnum):
    """What the entries of a list are."""

    WORDS = "words"
    PATTERNS = "patterns"
    DOMAINS = "domains"
    SENTENCES = "sentences"
    PICTURES = "pictures"


class MessageType(StrEnum):
    """What a message carries."""

    TEXT = "text"
    IMAGE = "image"
    VIDEO = "video"
    CUSTOM = "custom"


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_aware)]


class ListModel(Strict):
    """A named list that conditions refer to: entries here, in a file, or both."""

    kind: ListKind = Field(description="What the entries are.", examples=["words"])
    file: str | None = Field(
        default=None,
        min_length=1,
        description="One entry a line, `# ` starts a comment; relative to the rule file, or `builtin:NAME`.",
        examples=["lists/en.txt", "builtin:profanity-en"],
    )
    entries: tuple[str, ...] = Field(
        default=(), description="Entries written here.", examples=[["badword", "worse word"]]
    )
    match: Literal["word", "substring"] = Field(
        default="word", description="Words: whole words only, or anywhere inside of words.", examples=["word"]
    )
    obfuscation: bool = Field(default=True, description="Words: undo obfuscation such as f.u.c.k before looking.")
    allow: tuple[str, ...] = Field(
        default=(),
        description="Words and phrases that are fine although an entry is inside.",
        examples=[["scunthorpe"]],
    )
    description: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.file is None and not self.entries:
            raise ValueError("the list is empty; give `entries`, or a `file`")
        if self.kind is not ListKind.WORDS:
            for key in ("match", "obfuscation", "allow"):
                if key in self.model_fields_set:
                    raise ValueError(f"`{key}` is for lists of kind words; this one is of kind {self.kind}")
        if any(not entry.strip() for entry in self.entries):
            raise ValueError("an entry is blank; it would match everything")
        return self


class ScopeModel(Strict):
    """Where a rule holds; absent keys mean everywhere."""

    apps: frozenset[str] = Field(default=frozenset(), examples=[["my-app"]])
    conversation_types: frozenset[ConversationType] = Field(default=frozenset(), examples=[["group", "room"]])
    conversation_ids: frozenset[str] = Field(default=frozenset(), examples=[["lobby"]])


class Age(Strict):
    """How long ago something was created; unknown times fit neither bound."""

    less_than: Duration | None = Field(default=None, examples=["30d"])
    at_least: Duration | None = Field(default=None, examples=["1d"])


class Created(Strict):
    """When something was created; unknown times fit neither bound."""

    before: Moment | None = Field(default=None, examples=["2026-01-01"])
    after: Moment | None = Field(default=None, examples=["2026-01-01"])


class UserFilter(Strict):
    """Which users, by what the gateway says of them. Names are compared without regard to case."""

    ids: Names = Names()
    names: Names = Names()
    name_contains: tuple[str, ...] = Field(
        default=(), description="The name has one of these inside.", examples=[["admin"]]
    )
    tags: Names = Names()
    account_age: Age = Field(default=Age(), examples=[{"less_than": "30d"}])
    created: Created = Field(default=Created(), examples=[{"after": "2026-01-01"}])


class SenderFilter(UserFilter):
    """Which senders."""

    roles: Names = Field(default=Names(), examples=[{"none_of": ["moderator"]}])


class ReceiverFilter(UserFilter):
    """Which receivers. All but `kind` need a one-to-one conversation."""

    kind: Literal["user", "group"] | None = Field(
        default=None, description="`user` for one-to-one conversations, `group` for all others."
    )


class ConversationFilter(Strict):
    """Which conversations."""

    ids: Names = Names()
    names: Names = Names()
    tags: Names = Names()
    types: Names = Field(default=Names(), examples=[{"any_of": ["group"]}])
    age: Age = Age()
    created: Created = Created()

    @field_validator("types")
    @classmethod
    def _known(cls, types: Names) -> Names:
        for name in types.any_of | types.none_of:
            if name not in set(ConversationType):
                raise ValueError(f'"{name}" is not a conversation type; it is one of {", ".join(ConversationType)}')
        return types


class MessageFilter(Strict):
    """Which messages, by what they carry."""

    types: frozenset[MessageType] = Field(
        default=frozenset(), description="The message carries at least one of these.", examples=[["image", "video"]]
    )


class Filters(Strict):
    """Whom a rule concerns: all given filters must fit."""

    sender: SenderFilter | None = Field(default=None, examples=[{"roles": {"none_of": ["moderator"]}}])
    receiver: ReceiverFilter | None = None
    conversation: ConversationFilter | None = None
    message: MessageFilter | None = None


class Mask(Strict):
    """How matched characters are covered."""

    char: str = Field(default="*", min_length=1, max_length=1, description="One character.", examples=["*"])
    length: int | None = Field(
        default=None,
        ge=1,
        le=64,
        description="Fixed length of every mask; as long as the match if absent.",
        examples=[4],
    )

    @field_validator("char")
    @classmethod
    def _covers(cls, char: str) -> str:
        if char.isalnum() or not char.isprintable():
            raise ValueError("a mask character must be printable, and neither a letter nor a digit")
        return char


class NoticeModel(Strict):
    """What the sender's client is told."""

    code: int = Field(default=508, ge=0, le=2**31 - 1, examples=[508])
    text: str = Field(default="MESSAGE_EXTERNAL_LOGIC_BLOCKED", max_length=500, examples=["Please keep it friendly."])


class Then(Strict):
    """What happens when the condition is true."""

    action: Action = Field(description="`allow` records the hit and changes nothing.", examples=["block"])
    flag: bool = Field(default=False, description="Put the message before a moderator.")
    notify_sender: bool | None = Field(
        default=None, description="Tell the sender; by default blocked senders are told, masked ones are not."
    )
    sender_sees_mask: bool = Field(default=False, description="The sender, too, sees the masked text.")
    notice: NoticeModel | None = Field(default=None, examples=[{"code": 508, "text": "Please keep it friendly."}])
    replace_with: str | None = Field(
        default=None, max_length=2000, description="Text of `replace`; *** if absent.", examples=["[removed]"]
    )
    mask: Mask | None = Field(default=None, examples=[{"char": "#", "length": 4}])

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.replace_with is not None and self.action is not Action.REPLACE:
            raise ValueError("`replace_with` goes with `action: replace`")
        if self.mask is not None and self.action is not Action.MASK:
            raise ValueError("`mask` goes with `action: mask`")
        return self


class PenaltyModel(Strict):
    """What repeated violations of a rule earn."""

    after: int = Field(
        ge=2, le=10000, description="This many violations; one hit alone never earns a penalty.", examples=[5]
    )
    within: Duration = Field(description="In a window of this length.", examples=["1m"])
    impose: PenaltyType = Field(examples=["mute"])
    scope: SanctionScope = Field(default=SanctionScope.CONVERSATION, examples=["conversation"])
    for_: Duration | None = Field(
        default=None, alias="for", description="How long; for ever if absent.", examples=["1h"]
    )
    weight: float = Field(default=1.0, gt=0, le=1000, description="What one violation of this rule counts.")
    cooldown: Duration = Field(default=timedelta(0), description="Least time between two penalties of this clause.")
    decay: Duration | None = Field(
        default=None,
        description="Half-life of what a violation counts; absent: it counts in full until it leaves the window.",
        examples=["10m"],
    )
    reason: str = Field(default="", max_length=500)


class RuleModel(Strict):
    """A rule: where, whom, what, then, and what if the answer is late."""

    id: Name = Field(description="Stable name, unique in the file.", examples=["insults"])
    name: str = Field(default="", max_length=200, description="For people.", examples=["Insults in groups"])
    description: str = Field(default="", max_length=2000)
    revision: int = Field(default=1, ge=1, description="Count it up when you change the rule; reported in matches.")
    mode: Mode = Field(
        default=Mode.LIVE, description="draft: kept. shadow: run without effect. live.", examples=["live"]
    )
    optional: bool = Field(
        default=False,
        description="Leave the rule out, with a warning, on servers without the model or label that it needs.",
    )
    group: str = Field(
        default="",
        max_length=100,
        description="Among rules of one group the most specific scope that covers a message replaces the others.",
        examples=["text"],
    )
    scope: ScopeModel = Field(default=ScopeModel(), examples=[{"conversation_types": ["group", "room"]}])
    filters: Filters | None = Field(default=None, examples=[{"sender": {"roles": {"none_of": ["moderator"]}}}])
    when: Condition = Field(examples=[{"words": {"list": "profanity"}}])
    then: Then = Field(examples=[{"action": "block"}])
    on_timeout: Fallback | None = Field(default=None, description="If the answer is late.", examples=["send"])
    on_error: Fallback | None = Field(default=None, description="If a detector breaks.", examples=["send"])
    block_fraction: Fraction | None = Field(
        default=None, description="Share of the messages that a `block` fallback really blocks.", examples=[0.5]
    )
    penalties: tuple[PenaltyModel, ...] = Field(
        default=(), max_length=20, examples=[[{"after": 5, "within": "1m", "impose": "mute", "for": "1h"}]]
    )


class Budget(Strict):
    """Time for one message."""

    total_ms: int = Field(
        default=200, ge=10, le=10000, description="Milliseconds from arrival to reply.", examples=[200]
    )


class Defaults(Strict):
    """What rules do that do not say otherwise."""

    on_timeout: Fallback = Field(default="send", examples=["send"])
    on_error: Fallback = Field(default="send", examples=["send"])
    block_fraction: Fraction = Field(
        default=1.0,
        description="Share of the messages that `block` fallbacks really block; by message id, so repeats agree.",
        examples=[1.0],
    )
    mask: Mask = Mask()
    notice: NoticeModel = NoticeModel()


class PiiSettings(Strict):
    """What the recognisers of personal details need to know of the deployment."""

    phone_regions: tuple[str, ...] = Field(
        default=("US", "GB"),
        max_length=8,
        description="ISO 3166 codes of the countries whose national phone numbers are recognised.",
        examples=[["US", "GB", "DE"]],
    )


class CustomSettings(Strict):
    """Which strings of the custom payload are judged."""

    paths: tuple[str, ...] | None = Field(
        default=None,
        description="Dotted paths; each covers what is below it. All strings if absent.",
        examples=[["title", "card.body"]],
    )


class Include(Strict):
    """Rules of another file, as they are or with another mode or scope. A bare name stands for `from`."""

    from_: str = Field(alias="from", min_length=1, description="`pack:NAME`, or a file.", examples=["pack:spam"])
    mode: Mode | None = Field(default=None, description="Mode of all its rules.", examples=["shadow"])
    scope: ScopeModel | None = Field(default=None, description="Scope of all its rules.")

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        return {"from": value} if isinstance(value, str) else value


class DocumentModel(Strict):
    """A rule file."""

    version: Literal[1] = Field(description="Version of this format.", examples=[1])
    budget: Budget = Field(default=Budget(), examples=[{"total_ms": 200}])
    defaults: Defaults = Field(default=Defaults(), examples=[{"on_timeout": "send"}])
    pii: PiiSettings = PiiSettings()
    custom: CustomSettings = CustomSettings()
    description: str = Field(default="", max_length=2000, description="What the file is for.")
    automod: Literal["disabled", "simple", "ai"] = Field(
        default="disabled",
        description="One switch for ready-made packs: `simple` needs no model, `ai` asks the models as well.",
        examples=["simple"],
    )
    include: tuple[Include, ...] = Field(
        default=(),
        max_length=100,
        description="Rule packs to add: `pack:NAME` of the package, or a file relative to this one.",
        examples=[["pack:profanity", {"from": "pack:spam", "mode": "shadow"}]],
    )
    lists: dict[Name, ListModel] = Field(
        default={}, description="Lists by name.", examples=[{"profanity": {"kind": "words", "entries": ["badword"]}}]
    )
    rules: tuple[RuleModel, ...] = Field(
        default=(),
        max_length=2000,
        examples=[[{"id": "no-swearing", "when": {"words": {"list": "profanity"}}, "then": {"action": "mask"}}]],
    )
