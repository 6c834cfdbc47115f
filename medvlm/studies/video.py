"""Short videos as sampled frames, decoded by the ffmpeg program that imageio-ffmpeg carries."""

from __future__ import annotations

from typing import Any

import imageio_ffmpeg
import numpy as np

from ..errors import StudyError
from ..types import Image, Study
from .display import default_image
from .files import Source
from .limits import Limits, reading
from .sniff import HEAD, video_format


def load(source: Source, limits: Limits) -> Study:
    """Evenly spread frames of an MP4, MOV, AVI, MKV or WebM file, RGB, turned as its metadata asks.

    Raises:
        StudyError: the video is damaged, too long or too large.
    """
    with reading(source.name, "a video"):
        meta = _probe(source, limits)
        expected = max(1, round(meta["duration"] * meta["fps"]))
        step = -(-expected // limits.video_frames)
        frames = _decode(source, limits, step)
    if not frames:
        raise StudyError(f"{source.name} holds no frame that can be decoded: export it again as MP4 (H.264).")
    if len(frames) < expected / step / 2:
        raise StudyError(f"{source.name} is cut short: copy or export it again.")
    images = [Image(frame, name=f"frame {number} of {len(frames)}") for number, frame in enumerate(frames, 1)]
    metadata: dict[str, Any] = {"format": "video", "seconds": round(float(meta["duration"]), 2)}
    notices = [f"{len(frames)} of about {expected} frames are shown."] if step > 1 else []
    return Study(images, default=default_image(images), kind="video", metadata=metadata, notices=notices)


def _stream(source: Source, filters: list[str]) -> Any:
    """imageio-ffmpeg's generator: first the metadata, then the bytes of each frame.

    The container is named and only local files are allowed: a crafted file could else make ffmpeg open others.
    """
    with open(source.path, "rb") as file:
        container = video_format(file.read(HEAD))
    return imageio_ffmpeg.read_frames(
        str(source.path.resolve()),
        input_params=["-protocol_whitelist", "file", "-f", str(container), "-threads", "1"],
        output_params=[*filters, "-an", "-sn", "-dn"],
    )


def _probe(source: Source, limits: Limits) -> dict[str, Any]:
    stream = _stream(source, ["-frames:v", "1"])
    try:
        meta = next(stream)
    finally:
        stream.close()
    width, height = meta["source_size"]
    limits.check_size(source.name, height, width)
    limits.check_total(source.name, limits.video_frames, limits.video_frames * width * height, 3)
    if meta["duration"] > limits.max_video_seconds:
        raise StudyError(
            f"{source.name} is longer than {limits.max_video_seconds:g} seconds: cut the part that matters out of it."
        )
    return meta


def _decode(source: Source, limits: Limits, step: int) -> list[np.ndarray]:
    """Every `step`-th frame, uint8 `(H, W, 3)`, at most `limits.video_frames`."""
    most = str(limits.video_frames)
    stream = _stream(source, ["-vf", f"select=not(mod(n\\,{step}))", "-fps_mode", "vfr", "-frames:v", most])
    try:
        width, height = next(stream)["size"]
        return [np.frombuffer(frame, np.uint8).reshape(height, width, 3) for frame in stream]
    finally:
        stream.close()
