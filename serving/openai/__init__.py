"""OpenAI's chat protocol over the assistant: what answers `POST /v1/chat/completions` and `GET /v1/models`."""

from .routes import Chats

__all__ = ["Chats"]
