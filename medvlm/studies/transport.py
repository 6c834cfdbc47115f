"""A study from one process to another: a pickle that can name only our own dataclasses, then the pixels as they are."""

from __future__ import annotations

import io
import pickle
import socket
import struct
from typing import Any

import numpy as np

from ..errors import MedVLMError, RecordError, RequestError, StudyError
from ..geometry import Space, Turn
from ..types import Image, Origin, Series, Study, Values
from .listing import Listing

_KNOWN = (
    Study,
    Image,
    Origin,
    Values,
    Series,
    Turn,
    Space,
    Listing,
    MedVLMError,
    RecordError,
    RequestError,
    StudyError,
)
_CLASSES = {(known.__module__, known.__qualname__): known for known in _KNOWN}
_HEAD = struct.Struct(">Q")  # bytes of the pickle that follows
_MAX_PICKLE = 2**26


def send(channel: socket.socket, thing: Any) -> None:
    """Send plain values and our dataclasses; arrays go as raw bytes after them, without a copy.

    Raises `OSError` where nobody listens any more.
    """
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol=5)
    pickler.dump(thing)
    channel.sendall(_HEAD.pack(buffer.tell()) + buffer.getvalue())
    for array in pickler.arrays:
        channel.sendall(array.reshape(-1).view(np.uint8).data)


def receive(channel: socket.socket, most: int) -> Any:
    """What `send` sent, trusted no further than its form.

    Args:
        most: bytes that all arrays together may have.

    Raises:
        EOFError: the other end closed before all was there.
        pickle.UnpicklingError: anything that `send` would not have sent.
    """
    (length,) = _HEAD.unpack(_exactly(channel, bytearray(_HEAD.size)))
    if length > _MAX_PICKLE:
        raise pickle.UnpicklingError("too long")
    unpickler = _Unpickler(io.BytesIO(_exactly(channel, bytearray(length))), most)
    thing = unpickler.load()
    for array in unpickler.arrays:
        _exactly(channel, array.reshape(-1).view(np.uint8))
    return thing


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, protocol: int):
        super().__init__(file, protocol)
        self.arrays: list[np.ndarray] = []

    def persistent_id(self, thing: Any) -> Any:
        if isinstance(thing, np.generic):
            return thing.item(), None
        if not isinstance(thing, np.ndarray):
            return None
        self.arrays.append(np.ascontiguousarray(thing))
        return thing.dtype.str, thing.shape


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, most: int):
        super().__init__(file)
        self.arrays: list[np.ndarray] = []
        self.left = most

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _CLASSES[module, name]
        except KeyError:
            raise pickle.UnpicklingError("an unknown class") from None

    def persistent_load(self, pid: Any) -> Any:
        value, shape = pid
        if shape is None:
            return value
        kind = np.dtype(value)
        self.left -= int(np.prod(shape, dtype=object)) * kind.itemsize
        if kind.kind not in "buif" or self.left < 0:
            raise pickle.UnpicklingError("too large")
        self.arrays.append(np.empty(shape, kind))
        return self.arrays[-1]


def _exactly(channel: socket.socket, buffer: Any) -> Any:
    """Fill a buffer of bytes from the channel and return it."""
    view = memoryview(buffer)
    while view:
        count = channel.recv_into(view)
        if not count:
            raise EOFError
        view = view[count:]
    return buffer
