"""Archives for tests: a real Orthanc where it is installed, and a small one in this process that can be told to fail."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from .studies import place, write

ORTHANC = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
BOUNDARY = b"part-of-a-study"


def ct(folder: Path, count: int = 3, **elements: object) -> str:
    """Slices of a CT with a bright square in each; the Study Instance UID."""
    study, series, space = generate_uid(), generate_uid(), generate_uid()
    folder.mkdir(parents=True, exist_ok=True)
    for n in range(count):
        stored = np.zeros((24, 20), np.int16)
        stored[5:12, 6:14] = 900
        uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "FrameOfReferenceUID": space}
        shown = {"PixelSpacing": [1.0, 1.0], "WindowCenter": 500, "WindowWidth": 1000, "InstanceNumber": n + 1}
        part = {"BodyPartExamined": "CHEST"}
        write(folder / f"{n}.dcm", stored, **{**place(2.5 * n), **uids, **shown, **part, **elements})
    return study


@contextmanager
def orthanc(folder: Path) -> Iterator[str]:
    """The DICOMweb address of an Orthanc on this computer alone, with its data in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = {
        "StorageDirectory": str(folder / "data"),
        "IndexDirectory": str(folder / "data"),
        "HttpPort": port,
        "DicomServerEnabled": False,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"ward": "in-use"},
        "Plugins": [str(PLUGIN)],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([str(ORTHANC), str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if process.poll() is not None or probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/dicom-web"
    finally:
        process.terminate()
        process.wait(20)


class FakeArchive:
    """Keeps objects in memory. `faults` maps the start of "METHOD /path" to what goes wrong; `asked` is all that was asked."""

    def __init__(self) -> None:
        self.objects: dict[str, Dataset] = {}
        self.faults: dict[str, str] = {}
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answer: dict[str, object] = {}  # what the fault "answer" gives
        self.ended = threading.Event()

    def __enter__(self) -> FakeArchive:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"archive": self}))
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/dicom-web"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.server.shutdown()
        self.server.server_close()

    def fault(self, request: str) -> str:
        return next((fault for start, fault in self.faults.items() if re.match(start, request)), "")

    def modalities(self, study: str) -> list[str]:
        return sorted(o.Modality for o in self.objects.values() if o.StudyInstanceUID == study)


class _Handler(BaseHTTPRequestHandler):
    archive: FakeArchive

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        path, query = self._asked()
        fault = self.archive.fault(f"GET {path}")
        if self._failed(fault):
            return
        if path.endswith(("studies", "series", "instances")):
            found = self._found(path, query)
            offset, limit = int(query.get("offset", 0)), int(query.get("limit", 100))
            self._json(found if fault == "same again" else found[offset : offset + limit])
        else:
            self._multipart([o for o in self.archive.objects.values() if o.SeriesInstanceUID in path], fault)

    def do_POST(self) -> None:
        path, _ = self._asked()
        fault = self.archive.fault(f"POST {path}")
        body = self._body()
        parts = body.split(b"--" + self.headers["Content-Type"].split("boundary=")[1].strip('"').encode())[1:-1]
        sent = [pydicom.dcmread(BytesIO(part.split(b"\r\n\r\n", 1)[1])) for part in parts]
        kept = {"half, then cut": sent[:1], "half": sent[:1], "500": []}.get(fault, sent)
        self.archive.objects.update({str(data.SOPInstanceUID): data for data in kept})
        if fault in ("half, then cut", "then cut"):
            self.connection.shutdown(socket.SHUT_RDWR)
        elif not self._failed(fault):
            answer = Dataset()
            answer.ReferencedSOPSequence = [self._item(data) for data in kept]
            self._send(200, json.dumps(answer.to_json_dict()).encode(), "application/dicom+json")

    def _item(self, data: Dataset) -> Dataset:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
        return item

    def _asked(self) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self.path)
        path = parts.path.removeprefix("/dicom-web")
        self.archive.asked.append(f"{self.command} {path}?{parts.query}")
        self.archive.headers.append(dict(self.headers))
        return path, {name: values[0] for name, values in parse_qs(parts.query).items()}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers["Content-Length"]))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body

    def _found(self, path: str, query: dict[str, str]) -> list[dict[str, object]]:
        study, series = (re.search(rf"{level}/([0-9.]+)", path) for level in ("studies", "series"))
        objects = [
            o
            for o in self.archive.objects.values()
            if (not study or o.StudyInstanceUID == study[1]) and (not series or o.SeriesInstanceUID == series[1])
        ]
        key = {"ies": "StudyInstanceUID", "ces": "SOPInstanceUID"}.get(path[-3:], "SeriesInstanceUID")
        if path.endswith("series"):
            key = "SeriesInstanceUID"
        groups: dict[str, list[Dataset]] = {}
        for one in objects:
            groups.setdefault(str(one[key].value), []).append(one)
        found = []
        for group in groups.values():
            out = Dataset()
            for keyword in (key, "StudyDate", "PatientName", "PatientID", "Modality", "BodyPartExamined"):
                if group[0].get(keyword):
                    setattr(out, keyword, group[0].get(keyword))
            out.ModalitiesInStudy = sorted({o.Modality for o in group})
            out.NumberOfStudyRelatedInstances = len(group)
            matches = query.get("StudyInstanceUID", query.get("0020000D", "")) in ("", str(group[0].StudyInstanceUID))
            if matches or not path.endswith("studies"):
                found.append(out.to_json_dict())
        return found

    def _failed(self, fault: str) -> bool:
        """Whether a fault was answered with."""
        if fault.isdigit():
            self._send(int(fault), b"Doe^Jane is not to be told", "text/plain")
        elif fault == "elsewhere":
            self.send_response(307)
            self.send_header("Location", "http://127.0.0.1:9/other")
            self.end_headers()
        elif fault == "garbage":
            self._send(200, b"<html>Doe^Jane</html>", "application/dicom+json")
        elif fault == "odd":
            self._send(200, b'[{"0020000D": {"vr": "UI", "Value": ["../../etc"]}}]', "application/dicom+json")
        elif fault == "answer":
            self._json([self.archive.answer])
        elif fault == "cut":
            self._send(200, b'[{"0020', "application/dicom+json", length=4000)
        elif fault == "silent":
            self.archive.ended.wait(20)
        elif fault in ("trickle", "endless"):
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.end_headers()
            piece, pause = (b" ", 0.02) if fault == "trickle" else (bytes(2**16), 0)
            try:
                while not self.archive.ended.wait(pause):
                    self.wfile.write(piece)
            except OSError:
                pass
        else:
            return False
        return True

    def _json(self, found: object) -> None:
        self._send(200, json.dumps(found).encode(), "application/dicom+json")

    def _multipart(self, objects: list[Dataset], fault: str) -> None:
        body = b""
        for data in objects[1:] if fault == "one missing" else objects:
            with BytesIO() as file:
                data.save_as(file, enforce_file_format=True)
                body += b"--" + BOUNDARY + b"\r\nContent-Type: application/dicom\r\n\r\n" + file.getvalue() + b"\r\n"
        body += b"--" + BOUNDARY + b"--\r\n"
        kind = f'multipart/related; type="application/dicom"; boundary={BOUNDARY.decode()}'
        whole = len(body)
        if fault.startswith("cut"):
            body = body[: -len(BOUNDARY) - 200]
        self._send(200, body, kind, None if fault == "cut without a length" else whole)

    def _send(self, code: int, body: bytes, kind: str, length: int | None = -1) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(len(body) if length < 0 else length))
        self.end_headers()
        self.wfile.write(body)
