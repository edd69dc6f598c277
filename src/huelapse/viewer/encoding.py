"""Arrays as bytes of one safetensors file, without keeping the interpreter from other threads."""

import json
from collections.abc import Iterator, Mapping

import numpy as np
from safetensors.numpy import save

LARGE = 2**22
"""Bytes that are copied at once: a thousandth of a second in which no other thread runs."""
HEADER = 8
"""Bytes of the header's length, and what its own is a multiple of."""


def encode(arrays: Mapping[str, np.ndarray]) -> bytes:
    """What `safetensors.numpy.save` gives, byte for byte; large arrays are copied piece by piece."""
    if sum(array.nbytes for array in arrays.values()) <= LARGE:
        return save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    order = _header({name: array.ravel()[:0] for name, array in arrays.items()})
    header: dict[str, object] = {}
    end = 0
    for name, told in order.items():
        begin, end = end, end + arrays[name].nbytes
        header[name] = {**told, "shape": list(arrays[name].shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % HEADER)
    pieces = (piece for name in order for piece in _pieces(arrays[name]))
    # of a megabyte and more, joining bytes lets others run
    return b"".join([len(text).to_bytes(HEADER, "little"), text, *pieces])


def _header(arrays: Mapping[str, np.ndarray]) -> dict[str, dict[str, object]]:
    """What the library says of arrays, in the order in which it puts them."""
    content = save(dict(arrays))
    return json.loads(content[HEADER : HEADER + int.from_bytes(content[:HEADER], "little")])


def _pieces(array: np.ndarray) -> Iterator[bytes]:
    flat = np.ascontiguousarray(array).reshape(-1)
    at_once = max(1, LARGE // max(flat.itemsize, 1))
    for start in range(0, len(flat), at_once):
        yield flat[start : start + at_once].tobytes()
