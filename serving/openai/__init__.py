"""OpenAI's chat protocol over the assistant: `POST /v1/chat/completions` and `GET /v1/models`."""

from .routes import Chats, router

__all__ = ["Chats", "router"]
