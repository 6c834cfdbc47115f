"""The chat page: a front end over `Assistant` that keeps no user's data beyond the open tab."""

import os
from collections.abc import Iterable

# Gradio and the hub read these where they are imported; the page never reaches the network.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"


def serve(
    model: str | None = None,
    device: str = "cpu",
    host: str = "127.0.0.1",
    port: int = 7860,
    allowed: Iterable[str] = (),
    language: str | None = None,
    phrase: bool = False,
    send_images: bool = False,
) -> None:
    """Serve the page until it is stopped; the model loads while the page comes up.

    It answers to loopback names, to `host` and to the names in `allowed`. `language` names what reads the questions
    and, with `phrase`, says the answers; with `send_images` a server that it names is sent images (see `Assistant.load`).
    Raises `RequestError` where the address cannot be used, `ModelError` and `LanguageError` where a model cannot be loaded.
    """
    from .server import run

    def load():
        from medvlm.assistant import Assistant

        return Assistant.load(model, device, language, phrase, send_images)

    run(load, host, port, allowed)


__all__ = ["serve"]
