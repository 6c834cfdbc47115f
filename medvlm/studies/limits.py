"""What a study may weigh; everything is checked from headers, before pixels are decoded."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import MedVLMError, StudyError


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one study."""

    max_bytes: int = 512 * 2**20  # of one file, on disk or inflated
    max_total_bytes: int = 2 * 2**30  # of all files of a folder or an archive
    max_files: int = 5000  # with images, in a folder or an archive
    max_listed: int = 50_000  # files of any kind there, of which most may be no images
    max_pixels: int = 64_000_000  # of one image
    max_total_pixels: int = 2**28  # of all images together: 1024 slices of 512 x 512
    max_held_bytes: int = 2**29  # of all pixels as shown, a byte a channel
    max_value_bytes: int = 0  # of values before any window, for a viewer; of a study with more none are kept
    max_frames: int = 1000  # images in one study
    video_frames: int = 64  # a longer video is sampled down to this many frames
    max_video_seconds: float = 600.0
    max_memory: int = 900 * 2**20  # bytes that the process which reads a study may take
    max_seconds: float = 4.0  # of computing that reading a small study may take
    seconds_per_mib: float = 2.0  # added for large ones: slices of JPEG 2000 take one
    most_seconds: float = 600.0  # however large it is

    def seconds_for(self, size: int) -> int:
        """Seconds of computing that files of `size` bytes may take."""
        return math.ceil(min(self.most_seconds, self.max_seconds + self.seconds_per_mib * size / 2**20))

    def check_size(self, name: str, height: int, width: int) -> None:
        """Raise `StudyError` if one image of `height` x `width` pixels is too large."""
        if height * width > self.max_pixels:
            raise StudyError(
                f"{name} has {width} x {height} pixels, more than the limit of {self.max_pixels / 1e6:g} megapixels: "
                "crop it or scale it down."
            )

    def check_total(self, name: str, images: int, pixels: int, channels: int = 1) -> None:
        """Raise `StudyError` if `images` images of `pixels` pixels together, each of `channels` bytes, are too many."""
        if images > self.max_frames:
            raise StudyError(f"{name} holds {images} images, more than the limit of {self.max_frames}: give fewer.")
        if pixels > self.max_total_pixels:
            raise StudyError(
                f"{name} holds {pixels / 1e6:.0f} megapixels, more than the limit of "
                f"{self.max_total_pixels / 1e6:.0f}: give fewer images."
            )
        if pixels * channels > self.max_held_bytes:
            raise StudyError(
                f"{name} holds {in_bytes(pixels * channels)} of pixels, more than the limit of "
                f"{in_bytes(self.max_held_bytes)}: give fewer images, or smaller ones."
            )


DEFAULT = Limits()
_watchers: list[Callable[[str], None]] = []


def watch(tell: Callable[[str], None]) -> None:
    """Have `tell` called with a file's name before it is read, for a process whose end has to be explained."""
    _watchers[:] = [tell]


def in_bytes(count: int) -> str:
    """A number of bytes in words: 536870912 -> "512 MiB"."""
    return f"{count / 2**30:.3g} GiB" if count >= 2**30 else f"{count / 2**20:.3g} MiB"


def too_much_memory(name: str) -> StudyError:
    return StudyError(f"{name} cannot be read: it takes more memory than a study may; give a smaller one.")


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one clear `StudyError`.

    Decoders raise nearly every exception on damaged files, and their messages can quote patient data or private paths,
    so neither the message nor the chain is passed on. A panic in Rust is a `BaseException`.
    """
    for tell in _watchers:
        tell(name)
    try:
        yield
    except (MedVLMError, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except MemoryError:
        raise too_much_memory(name) from None
    except BaseException:
        raise StudyError(
            f"{name} cannot be read as {what}: it is damaged or cut short; copy or export it again."
        ) from None
