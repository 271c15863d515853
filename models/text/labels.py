"""What the text models say: the labels in the order of the output tensor."""

__all__ = ["COLUMNS", "HARMS", "LABELS", "SENTIMENT", "TALK"]

HARMS = (
    "toxic",
    "severe_toxic",
    "obscene",
    "threat",
    "insult",
    "identity_hate",
    "sexual",
    "flirtation",
    "self_harm",
    "violence",
    "spam",
    "scam",
)
"""Independent labels: a text may have any number of them."""

SENTIMENT = ("sent_negative", "sent_neutral", "sent_positive")
"""Share one softmax."""

LABELS = HARMS + SENTIMENT

COLUMNS = (*HARMS, "sent_neg", "sent_pos")
"""Label columns of the data files; neutral is what the other two leave."""

TALK = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
"""What comments on talk pages of Wikipedia were labelled for, in the order of that challenge."""
