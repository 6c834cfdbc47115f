"""VQA-RAD: questions that doctors asked of images, each in words of its own."""

from .adapter import Adapter

ADAPTER = Adapter(questions={"is the heart enlarged?": ["no", "yes"]})
