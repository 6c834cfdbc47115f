"""Make docs/openapi.json of the API: `python docs/openapi.py`. A test says when the description is behind the code."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from serving.api import make_api
from serving.turns import Turns
from serving.uploads import Inbox

DESCRIPTION = Path(__file__).with_name("openapi.json")


def main() -> None:
    DESCRIPTION.write_text(description(), encoding="utf-8")


def description() -> str:
    """The whole description, as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        api = make_api(lambda: None, Inbox(Path(folder)), Turns())
        return json.dumps(api.openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main()
