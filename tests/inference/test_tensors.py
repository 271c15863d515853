"""Token rows become the inputs that a bundle's layout asks for."""

from modgate.inference.manifest import TextInput
from modgate.inference.tensors import feeds

ROWS = [[101, 7, 102], [101, 102]]


def test_padded_rows_are_as_long_as_the_longest_and_masked() -> None:
    """A padded batch is a rectangle of ids, filled up with the pad id, and a mask of what is real."""
    inputs = feeds(TextInput(tokenizer="tokenizer.json", max_tokens=16, pad_id=9), ROWS)
    assert {name: array.tolist() for name, array in inputs.items()} == {
        "input_ids": [[101, 7, 102], [101, 102, 9]],
        "attention_mask": [[1, 1, 1], [1, 1, 0]],
    }


def test_packed_rows_stand_behind_one_another() -> None:
    """A packed batch is one row of ids and the length of each text."""
    inputs = feeds(TextInput(tokenizer="tokenizer.json", max_tokens=16, lengths="lengths"), ROWS)
    assert {name: array.tolist() for name, array in inputs.items()} == {
        "input_ids": [101, 7, 102, 101, 102],
        "lengths": [3, 2],
    }
