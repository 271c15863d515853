"""A published classifier of Wikipedia talk pages, as a teacher of what its training comments were labelled for.

The package `toxic-comment-classifier` (MIT) carries a small BiLSTM that its author trained on the 159,571 training
comments of the Jigsaw challenge (CC0), which are not among the rows at hand. What it says of our own rows stands in
for them. Its vocabulary was counted on exactly those comments: `read_talk` insists on it, so that nothing of the
challenge's test comments, which are for measuring, gets into weights this way. (`tox-block` was trained on both, and is
not used.)
"""

import pickle
from collections import OrderedDict, defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from models.text.labels import TALK
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["Talk", "read_talk"]

COMMENTS = 159_571
WORDS, LONGEST, WIDTH, STATE = 20_000, 100, 50, 50
PUNCTUATION = str.maketrans(dict.fromkeys('!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n', " "))


class _Attributes:
    """Stands in for a pickled object: its attributes, and nothing that runs."""


class _Inert(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - pickle's own signature
        """Return a container, or a stand-in for the one class of the file; everything else is refused."""
        allowed = {"OrderedDict": OrderedDict, "defaultdict": defaultdict, "int": int, "Tokenizer": _Attributes}
        if name not in allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not expected in a vocabulary")
        return allowed[name]


class Network(nn.Module):
    """Embedding, one bidirectional LSTM, maximum over the words, two layers."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.read = nn.LSTM(WIDTH, STATE, batch_first=True, bidirectional=True)
        self.hidden = nn.Linear(2 * STATE, STATE)
        self.classify = nn.Linear(STATE, len(TALK))

    def forward(self, ids: Tensor) -> Tensor:
        """Return probabilities [texts, labels] of ids [texts, 100]."""
        states, _ = self.read(self.words(ids))
        out: Tensor = self.classify(self.hidden(states.max(1).values).relu()).sigmoid()
        return out


@dataclass(frozen=True, slots=True)
class Talk:
    """The classifier.

    Attributes:
        network: Its network.
        index: Rank of every word; the first 20,000 are known.
    """

    network: Network
    index: dict[str, int]

    def known(self, text: str) -> list[int]:
        """Return the known words of a text, the last hundred of them."""
        found = [self.index.get(word, WORDS) for word in text.lower().translate(PUNCTUATION).split()]
        return [word for word in found if word < WORDS][-LONGEST:]

    def __call__(self, texts: list[str], *, batch: int = 256) -> NDArray[np.float32]:
        """Return the probability of every label, [texts, 6]."""
        ids = np.zeros((len(texts), LONGEST), np.int64)
        for i, text in enumerate(texts):
            words = self.known(text)
            ids[i, LONGEST - len(words) :] = words
        with torch.inference_mode():
            parts = [self.network(torch.from_numpy(ids[i : i + batch])).numpy() for i in range(0, len(ids), batch)]
        return np.concatenate(parts) if parts else np.zeros((0, len(TALK)), np.float32)


def read_talk(folder: Path) -> Talk:
    """Read the classifier out of its unzipped wheel.

    Raises:
        ValueError: It was made from other comments than the challenge's training part.
        pickle.UnpicklingError: The vocabulary holds more than words and numbers.
    """
    model = folder / "toxic_classifier" / "model"
    with (model / "tokenizer.pickle").open("rb") as file:
        vocabulary = vars(_Inert(file).load())
    if vocabulary["document_count"] != COMMENTS:
        raise ValueError(f"{folder} was made from {vocabulary['document_count']} comments, not from {COMMENTS}")
    network = Network()
    with h5py.File(model / "model.weights.h5") as held:

        def at(path: str) -> Tensor:
            return torch.from_numpy(np.asarray(held[path], np.float32))

        state = {"words.weight": at("layers/embedding/vars/0")}
        for suffix, side in (("", "forward"), ("_reverse", "backward")):
            cell = f"layers/bidirectional/{side}_layer/cell/vars"
            state[f"read.weight_ih_l0{suffix}"] = at(f"{cell}/0").T
            state[f"read.weight_hh_l0{suffix}"] = at(f"{cell}/1").T
            state[f"read.bias_ih_l0{suffix}"] = at(f"{cell}/2")
            state[f"read.bias_hh_l0{suffix}"] = torch.zeros(4 * STATE)
        for name, layer in (("hidden", "dense"), ("classify", "dense_1")):
            state[f"{name}.weight"] = at(f"layers/{layer}/vars/0").T
            state[f"{name}.bias"] = at(f"layers/{layer}/vars/1")
    network.load_state_dict(state)
    return Talk(network.eval(), dict(vocabulary["word_index"]))
