"""Token rows of several texts as the tensors of one pass.

Two layouts. *Padded*, as Hugging Face exports have it: a rectangle of ids and a mask, every row as long as the longest.
*Packed*: all tokens behind one another, and the length of each text; the model itself keeps texts apart. A packed
batch computes nothing for padding, so texts of any lengths share one (docs/decisions/packed-batches.md).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from modgate.inference.manifest import TextInput

__all__ = ["feeds"]


def feeds(spec: TextInput, rows: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.int64]]:
    """Return the model's inputs by name.

    Args:
        spec: Of the bundle.
        rows: Token ids of each text, special tokens included; at least one row, none empty.

    Returns:
        Packed: ids [tokens] and lengths [texts]. Padded: ids and mask, both [texts, longest].
    """
    if spec.lengths is not None:
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        ids = np.fromiter((token for row in rows for token in row), np.int64, int(lengths.sum()))
        return {spec.ids: ids, spec.lengths: lengths}
    ids = np.full((len(rows), max(map(len, rows))), spec.pad_id, np.int64)
    mask = np.zeros_like(ids)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        mask[i, : len(row)] = 1
    return {spec.ids: ids, spec.mask: mask}
