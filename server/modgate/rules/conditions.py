"""What a rule asks of a message, as written in a rule file: a tree of `all`, `any` and `not` over questions."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from modgate.rules.values import Duration, Fraction, Name, Score, Strict

__all__ = [
    "TEXT_LABEL_ALIASES",
    "Condition",
    "DomainCondition",
    "FloodCondition",
    "ImageCondition",
    "LanguageCondition",
    "PatternCondition",
    "PiiCondition",
    "SentimentCondition",
    "SimilarCondition",
    "TextCondition",
    "WordsCondition",
]

TEXT_LABEL_ALIASES = {
    "TOXICITY": "toxic",
    "SEVERE_TOXICITY": "severe_toxic",
    "IDENTITY_ATTACK": "identity_hate",
    "INSULT": "insult",
    "PROFANITY": "obscene",
    "THREAT": "threat",
    "SEXUALLY_EXPLICIT": "sexual",
    "FLIRTATION": "flirtation",
    "SPAM": "spam",
}
"""Attribute names of the Perspective API, so that its users' thresholds find their label."""

MAX_NESTING = 16
"""Levels of `all`, `any` and `not`; more than anyone can read."""


class WordsCondition(Strict):
    """The text has an entry of a word list."""

    list: Name = Field(description="Name of a list of kind `words`.", examples=["profanity"])


class PatternCondition(Strict):
    """The text matches a regular expression (RE2 syntax), or one of a list."""

    list: Name | None = Field(default=None, description="Name of a list of kind `patterns`.", examples=["invites"])
    regex: str | None = Field(
        default=None,
        min_length=1,
        max_length=2000,
        description="A regular expression in RE2 syntax, found anywhere in the text; starts with (?i) to ignore case.",
        examples=[r"(?i)\bfree\s+skins?\b"],
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.list is None) == (self.regex is None):
            raise ValueError("give either `list` or `regex`")
        return self


class TextCondition(Strict):
    """The text classifier gives a label at least this score."""

    label: str = Field(
        min_length=1,
        description="A label of the text bundle, or the Perspective name for it.",
        examples=["insult", "TOXICITY"],
    )
    at_least: Score | None = Field(
        default=None,
        description="Score from which it is true. If absent, the bundle's default threshold, which finds most; "
        "`strict` is its higher one, at which ordinary chat is left alone.",
        examples=[0.85, "strict"],
    )

    @field_validator("label")
    @classmethod
    def _alias(cls, label: str) -> str:
        return TEXT_LABEL_ALIASES.get(label, label)


class SentimentCondition(Strict):
    """The text's mood is negative, or positive, with at least this score."""

    negative: Fraction | None = Field(default=None, description="Least score of a negative mood.", examples=[0.8])
    positive: Fraction | None = Field(default=None, description="Least score of a positive mood.", examples=[0.8])

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.negative is None) == (self.positive is None):
            raise ValueError("give either `negative` or `positive`")
        return self


class SimilarCondition(Strict):
    """The text means nearly the same as a sentence of a list."""

    to: Name = Field(description="Name of a list of kind `sentences`.", examples=["bypass"])
    at_least: Fraction = Field(default=0.8, description="Cosine similarity from which it is true.", examples=[0.8])


class PiiCondition(Strict):
    """The text gives away a personal detail of one of these kinds."""

    kinds: tuple[str, ...] = Field(min_length=1, description="Kinds of personal detail.", examples=[["phone", "email"]])
    at_least: Fraction = Field(default=0.5, description="Confidence from which it is true.", examples=[0.5])


class DomainCondition(Strict):
    """The text names a web domain that a list has, or has not."""

    list: Name = Field(
        description="Name of a list of kind `domains`; entries cover their subdomains.", examples=["scam-sites"]
    )
    mode: Literal["listed", "not_listed"] = Field(
        default="listed",
        description="`listed`: a domain of the list is named. `not_listed`: a domain that the list lacks is named.",
        examples=["listed"],
    )


class FloodCondition(Strict):
    """One sender posts too much, or shouts: exactly one measure.

    `messages` and `duplicates` count this sender's messages within `within`, this one included.
    """

    messages: int | None = Field(
        default=None, ge=2, le=1000, description="This many messages within the window.", examples=[8]
    )
    duplicates: int | None = Field(
        default=None, ge=2, le=1000, description="This many near-identical messages within the window.", examples=[3]
    )
    links: int | None = Field(default=None, ge=1, le=1000, description="This many links in the message.", examples=[4])
    mentions: int | None = Field(
        default=None, ge=1, le=1000, description="This many @mentions in the message.", examples=[6]
    )
    capitals: Fraction | None = Field(
        default=None, description="Share of capitals among the letters of the message.", examples=[0.7]
    )
    mention_ratio: Fraction | None = Field(
        default=None, description="Share of @mentions among the words of the message.", examples=[0.5]
    )
    link_ratio: Fraction | None = Field(
        default=None, description="Share of links among the words of the message.", examples=[0.5]
    )
    within: Duration | None = Field(default=None, description="Length of the sliding window.", examples=["10s"])
    per: Literal["conversation", "app"] = Field(
        default="conversation", description="Count the sender's messages in this conversation, or in the whole app."
    )
    min_length: int = Field(
        default=12, ge=1, le=10000, description="Messages with fewer letters are not measured for `capitals`."
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        measures = ("messages", "duplicates", "links", "mentions", "capitals", "mention_ratio", "link_ratio")
        if sum(getattr(self, name) is not None for name in measures) != 1:
            raise ValueError(f"give exactly one of {', '.join(measures)}")
        if self.messages is not None or self.duplicates is not None:
            if self.within is None:
                raise ValueError("`within` is missing: the length of the window, such as 10s")
            if not timedelta(0) < self.within <= timedelta(days=1):
                raise ValueError("`within` must be more than 0s and at most 1d")
        elif self.within is not None:
            raise ValueError("`within` goes with `messages` or `duplicates` only")
        return self


class ImageCondition(Strict):
    """An image classifier gives a label at least this score for one of the pictures."""

    label: str = Field(min_length=1, description="A label of an image bundle.", examples=["explicit_nudity"])
    at_least: Fraction | None = Field(
        default=None,
        description="Score from which it is true; the bundle's calibrated threshold if absent.",
        examples=[0.8],
    )


class KnownPictureCondition(Strict):
    """One of the pictures is on a list, as the same bytes or as a copy."""

    list: str = Field(description="A list of kind `pictures`.", examples=["banned-pictures"])
    within: int = Field(
        default=31, ge=0, le=90, description="Bits of 256 by which the PDQ hash of a copy may differ.", examples=[31]
    )


class LanguageCondition(Strict):
    """The text is in one of these languages, or in none of them; unclear texts are neither."""

    in_: tuple[str, ...] = Field(default=(), alias="in", description="ISO 639-1 codes.", examples=[["en", "es"]])
    not_in: tuple[str, ...] = Field(default=(), description="ISO 639-1 codes.", examples=[["en", "es"]])
    at_least: Fraction = Field(
        default=0.8, description="Confidence from which a language counts as known.", examples=[0.8]
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if bool(self.in_) == bool(self.not_in):
            raise ValueError("give either `in` or `not_in`, with at least one language")
        return self


class Condition(Strict):
    """One question, or a combination of conditions: exactly one key."""

    words: WordsCondition | None = Field(default=None, examples=[{"list": "profanity"}])
    pattern: PatternCondition | None = Field(default=None, examples=[{"regex": r"(?i)free\s+skins"}])
    text: TextCondition | None = Field(default=None, examples=[{"label": "insult", "at_least": 0.85}])
    sentiment: SentimentCondition | None = Field(default=None, examples=[{"negative": 0.8}])
    similar: SimilarCondition | None = Field(default=None, examples=[{"to": "bypass", "at_least": 0.8}])
    pii: PiiCondition | None = Field(default=None, examples=[["phone", "email"]])
    domain: DomainCondition | None = Field(default=None, examples=[{"list": "scam-sites"}])
    flood: FloodCondition | None = Field(default=None, examples=[{"messages": 8, "within": "10s"}])
    image: ImageCondition | None = Field(default=None, examples=[{"label": "explicit_nudity"}])
    known_picture: KnownPictureCondition | None = Field(default=None, examples=[{"list": "banned-pictures"}])
    language: LanguageCondition | None = Field(default=None, examples=[{"not_in": ["en"]}])
    all_of: tuple["Condition", ...] | None = Field(
        default=None, alias="all", min_length=1, examples=[[{"pii": ["phone"]}, {"similar": {"to": "bypass"}}]]
    )
    any_of: tuple["Condition", ...] | None = Field(
        default=None,
        alias="any",
        min_length=1,
        examples=[[{"words": {"list": "profanity"}}, {"text": {"label": "insult"}}]],
    )
    not_: "Condition | None" = Field(default=None, alias="not", examples=[{"words": {"list": "profanity"}}])

    @field_validator("pii", mode="before")
    @classmethod
    def _kinds(cls, value: object) -> object:
        return {"kinds": value} if isinstance(value, list | tuple) else value

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = [name for name in type(self).model_fields if getattr(self, name) is not None]
        if len(given) != 1:
            keys = ", ".join(field.alias or name for name, field in type(self).model_fields.items())
            found = f"{len(given)} keys" if given else "none"
            raise ValueError(
                f"a condition has exactly one key ({keys}); here are {found}; join several with `all` or `any`"
            )
        if self.depth() > MAX_NESTING:
            raise ValueError(f"conditions nest deeper than {MAX_NESTING} levels")
        return self

    def depth(self) -> int:
        """Levels of this tree; 1 for a question."""
        children = self.all_of or self.any_of or ((self.not_,) if self.not_ else ())
        return 1 + max((child.depth() for child in children), default=0)

    def questions(self, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str, object, tuple[str | int, ...]]]:
        """Yield key, question and path of every leaf of this tree."""
        for key, children in (("all", self.all_of), ("any", self.any_of)):
            for index, child in enumerate(children or ()):
                yield from child.questions((*path, key, index))
        if self.not_ is not None:
            yield from self.not_.questions((*path, "not"))
        for name in type(self).model_fields:
            question = getattr(self, name)
            if question is not None and not isinstance(question, tuple | Condition):
                yield name, question, (*path, name)

    def lists(self) -> frozenset[str]:
        """Return the names of the lists that this tree refers to."""
        names = {getattr(q, "to" if key == "similar" else "list", None) for key, q, _ in self.questions()}
        return frozenset(name for name in names if isinstance(name, str))
