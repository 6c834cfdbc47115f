"""What a study may weigh; everything is checked from headers, before pixels are decoded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..errors import MedVLMError, StudyError


@dataclass(frozen=True)
class Limits:
    """Upper bounds for one study."""

    max_bytes: int = 512 * 2**20  # of one file, on disk or inflated
    max_total_bytes: int = 2 * 2**30  # of all files of a folder or an archive
    max_files: int = 5000  # in a folder or an archive
    max_pixels: int = 64_000_000  # of one image
    max_total_pixels: int = 2**28  # of all images together: 1024 slices of 512 x 512
    max_frames: int = 1000  # images in one study
    video_frames: int = 64  # a longer video is sampled down to this many frames
    max_video_seconds: float = 600.0

    def check_size(self, name: str, height: int, width: int) -> None:
        """Raise `StudyError` if one image of `height` x `width` pixels is too large."""
        if height * width > self.max_pixels:
            raise StudyError(
                f"{name} has {width} x {height} pixels, more than the limit of {self.max_pixels / 1e6:g} megapixels: "
                "crop it or scale it down."
            )

    def check_total(self, name: str, images: int, pixels: int) -> None:
        """Raise `StudyError` if `images` images of `pixels` pixels together are too many."""
        if images > self.max_frames:
            raise StudyError(f"{name} holds {images} images, more than the limit of {self.max_frames}: give fewer.")
        if pixels > self.max_total_pixels:
            raise StudyError(
                f"{name} holds {pixels / 1e6:.0f} megapixels, more than the limit of "
                f"{self.max_total_pixels / 1e6:.0f}: give fewer images."
            )


DEFAULT = Limits()


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turn whatever a decoder raises into one clear `StudyError`.

    Decoders raise nearly every exception on damaged files, and their messages can quote patient data or private paths,
    so neither the message nor the chain is passed on.
    """
    try:
        yield
    except MedVLMError:
        raise
    except Exception:
        raise StudyError(
            f"{name} cannot be read as {what}: it is damaged or cut short; copy or export it again."
        ) from None
