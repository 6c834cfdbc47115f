"""A small client of the API of `medvlm serve`, for programs that have no torch: 3D Slicer, napari, notebooks.

It needs numpy and requests alone and imports nothing else of this package, so that the file can be copied to where it is used.
"""

from __future__ import annotations

import io
import json
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
import requests
from requests.auth import HTTPBasicAuth

Paths = str | PathLike[str] | Sequence[str | PathLike[str]]
Tell = Callable[[int, int], None]  # how many are done, of how many

CHUNK = 2**20  # bytes of a file that are sent at a time
AGAIN = (429, 503)  # what is worth trying again, when the server says
EVENTS = "text/event-stream"


class RemoteError(Exception):
    """What the server refuses, in its words; `status` is HTTP's, 0 where no server answers, and `type` tells refusals apart."""

    def __init__(self, message: str, type: str = "NoServer", status: int = 0):
        super().__init__(message)
        self.type, self.status = type, status


@dataclass(eq=False)
class Region:
    """Something seen in one image, as shown: `mask` is bool `(H, W)`, `box` `(x0, y0, x1, y1)` in pixels, half-open."""

    label: str
    image: int  # index of the image, from 0
    box: tuple[float, float, float, float]
    mask: np.ndarray | None
    score: float  # probability in 0..1
    instance: int = 0
    phrase: str = ""  # what it was found for, where that is another word


def decode_mask(code: dict[str, Any]) -> np.ndarray:
    """The bool mask `(H, W)` behind a COCO compressed run-length code."""
    runs: list[int] = []
    run = shift = 0
    for digit in code["counts"].encode("ascii"):
        digit -= 48
        run |= (digit & 31) << shift
        shift += 5
        if not digit & 32:
            run -= (1 << shift) if digit & 16 else 0  # the last digit's high bit is the sign
            runs.append(run + (runs[-2] if len(runs) > 2 else 0))
            run = shift = 0
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(code["size"], order="F")


def region_of(data: dict[str, Any]) -> Region:
    """A region of the API's JSON."""
    mask = None if data["mask"] is None else decode_mask(data["mask"])
    phrase = data.get("phrase") or ""
    return Region(data["label"], data["image"], tuple(data["box"]), mask, data["score"], data["instance"], phrase)


class Client:
    """A server's address, such as "http://127.0.0.1:7860". Requests that it has no room for are sent again for `patience`
    seconds; no answer may take longer than `timeout` seconds. Every method raises `RemoteError`."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:7860",
        timeout: float = 600,
        patience: float = 60,
        *,
        name: str | None = None,
        password: str | None = None,
        token: str | None = None,
        authority: str | PathLike[str] | None = None,
        unencrypted: bool = False,
    ):
        """A server with a login takes `name` and `password` of an account, a proxy before it perhaps a bearer `token`.

        They are sent over https, or within this machine, alone, unless they may go `unencrypted`. `authority` is the file of the
        certificate authority that the server's certificate is of, where it is no public one.
        """
        self.url, self.timeout, self.patience = url.rstrip("/") + "/v1", timeout, patience
        self.session = requests.Session()
        self.session.trust_env = False  # no proxy or password that was set for something else
        self.session.verify = str(authority) if authority else True
        if (name is None) != (password is None) or (name and token):
            raise RemoteError("Give name and password of an account, both, or a token.", "BadLogin")
        if (name or token) and not (unencrypted or is_private(url)):
            raise RemoteError(
                "A password would be sent for all to read: use https, or say unencrypted=True.", "BadLogin"
            )
        if name and password is not None:
            self.session.auth = HTTPBasicAuth(name.encode(), password.encode())
        elif token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def ready(self) -> dict[str, Any]:
        """The model's name and how many requests wait for it."""
        return self.request("GET", "/ready").json()

    def open(self, paths: Paths, series: int | None = None, keep_text: bool = False) -> RemoteStudy:
        """Send files or folders, which become one study: pictures, DICOM, NIfTI, a video or a zip.

        `series` is the number of the one to take among several. With `keep_text` what is written in the pixels, which may
        name somebody, is left in pictures and exports.
        """
        files = list(files_of(paths))
        if not files:
            raise RemoteError("There is no file to send; give the path of one, or of a folder with some.", "NoFile")
        boundary = uuid.uuid4().hex
        headers = {"Content-Type": f"multipart/form-data; boundary={boundary}", "Idempotency-Key": uuid.uuid4().hex}
        options = {"series": series, "keep_text": keep_text or None}
        reply = self.request("POST", "/studies", params=options, headers=headers, content=lambda: form(files, boundary))
        return RemoteStudy(self, reply.json())

    def open_archived(self, study: str, series: str | None = None, keep_text: bool = False) -> RemoteStudy:
        """Open a study of the server's archive by its Study Instance UID, or one series of it."""
        asked = {"dicomweb": {"study": study} | ({"series": series} if series else {})}
        reply = self.request("POST", "/studies", params={"keep_text": keep_text or None}, json=asked)
        return RemoteStudy(self, reply.json())

    def request(
        self, method: str, path: str, content: Callable[[], Iterator[bytes]] | None = None, **options: Any
    ) -> requests.Response:
        """A request under /v1, sent again where the server says when; `content` makes the body anew each time."""
        end = time.monotonic() + self.patience
        while True:
            body = content() if content else None
            try:
                reply = self.session.request(
                    method, self.url + path, timeout=self.timeout, data=body, allow_redirects=False, **options
                )
            except requests.exceptions.SSLError as error:
                raise RemoteError("The server's certificate is not trusted: name its authority's file.") from error
            except requests.RequestException as error:
                raise RemoteError(f"There is no answer from {self.url}: is `medvlm serve` running there?") from error
            wait = min(float(reply.headers.get("retry-after", 1)), 10.0)
            if reply.status_code not in AGAIN or time.monotonic() + wait > end:
                break
            reply.close()
            time.sleep(wait)
        if reply.is_redirect:
            raise RemoteError("The server sends on to another address: give that one.", "NoServer", reply.status_code)
        if not reply.ok:
            raise refusal(reply)
        return reply


def is_private(url: str) -> bool:
    """Whether nobody on the way can read what is sent to an address."""
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def refusal(reply: requests.Response) -> RemoteError:
    """What a reply refuses."""
    try:
        error = reply.json()["error"]
        return RemoteError(error["message"], error["type"], reply.status_code)
    except (ValueError, KeyError, TypeError):
        return RemoteError(f"This is no answer of medvlm (status {reply.status_code}).", "NoServer", reply.status_code)


class RemoteStudy:
    """A study that the server holds, until `close`, the end of a `with`, or half an hour without a question.

    Answers are the API's JSON with `Region`s under "regions". `image` counts from 0; where it is left out, all of the study is
    meant. `progress(done, of)` is called meanwhile. `info` is what opening told: "kind", "images", "notices", "formats" …
    """

    def __init__(self, client: Client, info: dict[str, Any]):
        self.client, self.info, self.id = client, info, info["id"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        except RemoteError:  # gone already, which hides no error of what was done with it
            pass

    def ask(
        self,
        question: str,
        image: int | None = None,
        box: Sequence[float] | None = None,
        points: Sequence[Sequence[float]] | None = None,
        progress: Tell | None = None,
    ) -> dict[str, Any]:
        """The answer to a question: "text", "confidence", "regions", "notices" and more."""
        asked = {"question": question, "image": image, "box": box, "points": points}
        return self._post("ask", asked, progress)

    def find(self, *phrases: str, image: int | None = None, progress: Tell | None = None) -> dict[str, Any]:
        """Every instance of what the phrases name: "regions", "presence", "absent", and of a volume "bodies"."""
        return self._post("find", {"phrases": list(phrases), "image": image}, progress)

    def segment(
        self,
        image: int | None = None,
        box: Sequence[float] | None = None,
        points: Sequence[Sequence[float]] | None = None,
        carry: bool = False,
        progress: Tell | None = None,
    ) -> list[Region]:
        """What a box, or points (x, y, 1 on it or 0 beside it), show; with `carry` in the neighbouring slices too."""
        return self._post("segment", {"image": image, "box": box, "points": points, "carry": carry}, progress)[
            "regions"
        ]

    def report(self, progress: Tell | None = None) -> dict[str, Any]:
        """A report draft: "sections", "findings", "regions"."""
        return self._post("report", {}, progress)

    def check_report(self, text: str, progress: Tell | None = None) -> list[dict[str, Any]]:
        """The claims of an existing report, each with its "verdict"."""
        return self._post("check-report", {"text": text}, progress)["claims"]

    def compare(
        self, prior: RemoteStudy, as_given: bool = False, other_patient: bool = False, progress: Tell | None = None
    ) -> dict[str, Any]:
        """A report draft that says what has changed; the dates in the headers decide which one is the earlier."""
        asked = {"prior": prior.id, "as_given": as_given, "other_patient": other_patient}
        return self._post("compare", asked, progress)

    def export(self, formats: str | Sequence[str], folder: str | PathLike[str]) -> list[Path]:
        """Write the report draft into a folder in formats such as "nifti" or "seg" (`info["formats"]` has all)."""
        names = formats if isinstance(formats, str) else ",".join(formats)
        reply = self.client.request("POST", f"/studies/{self.id}/report", params={"format": names})
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if reply.headers["content-type"] == "application/zip":
            return list(unpacked(reply.content, folder))
        path = folder / PurePosixPath(reply.headers["content-disposition"].split('"')[1]).name
        path.write_bytes(reply.content)
        return [path]

    def store(self) -> int:
        """Store the report draft in the server's archive, with the study's images; how many objects."""
        return self.client.request("POST", f"/studies/{self.id}/store").json()["stored"]

    def picture(self, image: int) -> bytes:
        """An image as shown, as a PNG."""
        return self.client.request("GET", f"/studies/{self.id}/images/{image}").content

    def labelmap(self, regions: Sequence[Region]) -> tuple[np.ndarray, list[str]]:
        """Regions as uint16 `(images, H, W)`, 0 outside and a number a label from 1 on, and the labels in that order; for
        images of one size. Where two overlap, the later one stands."""
        sizes = {tuple(image["size"]) for image in self.info["images"]}
        if len(sizes) != 1:
            raise RemoteError("The images differ in size, so there is no one array of them.", "NoVolume")
        labels = list(dict.fromkeys(region.label for region in regions))
        out = np.zeros((len(self.info["images"]), *sizes.pop()), np.uint16)
        for region in regions:
            if region.mask is not None:
                out[region.image][region.mask] = labels.index(region.label) + 1
        return out, labels

    def close(self) -> None:
        """Have the server forget the study."""
        self.client.request("DELETE", f"/studies/{self.id}")

    def _post(self, what: str, asked: dict[str, Any], progress: Tell | None) -> dict[str, Any]:
        given = {name: value for name, value in asked.items() if value is not None}
        accept = {"Accept": EVENTS} if progress else {}
        reply = self.client.request(
            "POST", f"/studies/{self.id}/{what}", json=given, headers=accept, stream=progress is not None
        )
        return with_regions(told(reply, progress) if progress else reply.json())


def told(reply: requests.Response, progress: Tell) -> dict[str, Any]:
    """The result at the end of a stream of events, whose progress is told."""
    name = ""
    with reply:
        for line in reply.iter_lines():
            field, _, value = line.decode().partition(": ")
            if field == "event":
                name = value
            elif field == "data" and name == "progress":
                far = json.loads(value)
                progress(far["done"], far["of"])
            elif field == "data" and name == "result":
                return json.loads(value)
            elif field == "data" and name == "error":
                error = json.loads(value)["error"]
                raise RemoteError(error["message"], error["type"], reply.status_code)
    raise RemoteError("The answer was cut short; ask again.", "CutShort")


def with_regions(value: Any) -> Any:
    """JSON with every list of regions in it as `Region`s."""
    if isinstance(value, list):
        return [with_regions(item) for item in value]
    if not isinstance(value, dict):
        return value
    if {"label", "box", "mask", "instance"} <= value.keys():
        return region_of(value)
    return {key: with_regions(item) for key, item in value.items()}


def files_of(paths: Paths) -> Iterator[tuple[str, Path]]:
    """Every file of some files and folders, with the name that it is sent under: that of its folder before its own."""
    for path in map(Path, [paths] if isinstance(paths, (str, PathLike)) else paths):
        inside = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        for file in inside:
            if not file.is_file():
                raise RemoteError(f"There is no file {str(file)!r}; check the path.", "NoFile")
            yield (file.relative_to(path.parent).as_posix() if path.is_dir() else file.name), file


def form(files: Sequence[tuple[str, Path]], boundary: str) -> Iterator[bytes]:
    """Files as the body of a form, piece by piece: a study need not fit into memory."""
    for name, path in files:
        quoted = name.replace("\\", "_").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{quoted}"\r\n\r\n'
        yield head.encode()
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def unpacked(content: bytes, folder: Path) -> Iterator[Path]:
    """The files of an archive, written into a folder, none outside of it."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            yield Path(archive.extract(name, folder))
