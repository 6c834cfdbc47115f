"""A form of which one part is mostly names."""

from __future__ import annotations

import pytest

pytest.importorskip("fastapi", reason="FastAPI is not installed: pip install -e '.[serving]'")
from fastapi import HTTPException

from medvlm.studies import Limits
from serving.multipart import FilesForm


def test_names_of_a_parts_headers_are_counted_as_their_values_are(tmp_path):
    form = FilesForm("multipart/form-data; boundary=x", tmp_path, Limits())
    with pytest.raises(HTTPException, match="damaged"):
        form.take(b"--x\r\n" + b"".join(b"%d%s:\r\n" % (n, b"a" * 3000) for n in range(4)) + b"\r\nabc\r\n--x--\r\n")
