"""A receiver for devices that only push: each study that is sent in an association becomes a folder (DICOM C-STORE)."""

from __future__ import annotations

import contextlib
import errno
import logging
import secrets
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, VerificationPresentationContexts, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.transport import ThreadedAssociationServer

from ..errors import RequestError
from ..studies.limits import DEFAULT, Limits

logging.getLogger("pynetdicom").propagate = False  # it tells names of peers and values

SUCCESS, OUT_OF_RESOURCES, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000
HIDDEN = ".receiving-"  # what a folder's name starts with until its association has ended
SPARE = 256 * 2**20  # bytes that are left free on the disk
AT_ONCE = 4  # associations


@dataclass
class Received:
    """A study as one association brought it."""

    folder: Path
    objects: set[str] = field(default_factory=set)


@dataclass
class _Association:
    studies: dict[str, Received] = field(default_factory=dict)
    files: int = 0
    weight: int = 0  # bytes in files
    coming: int = 0  # bytes since the last object


class Receiver:
    """Listens while it is entered. `done` is told of each study when its association has ended, in another thread.

    What was confirmed to the sender is kept, whatever happens after: also what an association left behind that broke off,
    or a receiver that was killed. No more comes in than `limits` allow to one study: beyond it the sender is told that there
    is no room.
    """

    def __init__(
        self,
        folder: Path,
        port: int = 11112,
        host: str = "127.0.0.1",
        title: str = "MEDVLM",
        callers: tuple[str, ...] = (),
        limits: Limits = DEFAULT,
        done: Callable[[Received], None] = lambda received: None,
    ):
        self.folder, self.address, self.limits, self.done = folder, (host, port), limits, done
        self._open: dict[int, _Association] = {}
        self._lock = threading.Lock()
        try:
            self._entity = AE(ae_title=title)
            self._entity.require_calling_aet = list(callers)
        except (TypeError, ValueError):
            raise RequestError("Application entity titles have 1 to 16 plain characters.") from None
        self._entity.require_called_aet = bool(callers)
        self._entity.maximum_associations = AT_ONCE
        for context in AllStoragePresentationContexts:
            self._entity.add_supported_context(context.abstract_syntax or "", list(AllTransferSyntaxes))
        for context in VerificationPresentationContexts:
            self._entity.add_supported_context(context.abstract_syntax or "")

    def __enter__(self) -> Receiver:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for left in self.folder.glob(f"{HIDDEN}*"):
                self._show(left)
        except OSError as error:
            raise RequestError(f"{str(self.folder)!r} cannot be written: {error.strerror}.") from None
        handlers: list[Any] = [
            (evt.EVT_DATA_RECV, self._weigh),
            (evt.EVT_C_STORE, self._store),
            (evt.EVT_RELEASED, self._end),
            (evt.EVT_ABORTED, self._end),
            (evt.EVT_CONN_CLOSE, self._end),
        ]
        host, port = self.address
        try:
            server = self._entity.start_server(self.address, block=False, evt_handlers=handlers)
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or "there is no such port"
            raise RequestError(
                f"{host}:{port} cannot be listened on ({reason}): choose another port, or an address of this computer."
            ) from None
        self._server = cast(ThreadedAssociationServer, server)  # as it does not block
        self.port = int(self._server.server_address[1])
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        for association in list(self._open):
            self._finish(association)

    def _weigh(self, event: Event) -> None:
        """End an association that sends an object without an end, before it fills the memory."""
        with self._lock:
            association = self._open.setdefault(id(event.assoc), _Association())
            association.coming += len(event.data)
            too_large = association.coming > self.limits.max_bytes
        if too_large:
            event.assoc.abort()

    def _store(self, event: Event) -> int:
        with self._lock:
            association = self._open.setdefault(id(event.assoc), _Association())
            association.coming = 0
        try:
            header = event.dataset
            study, uid = str(header.StudyInstanceUID), str(cast(C_STORE, event.request).AffectedSOPInstanceUID)
            content = event.encoded_dataset()
        except Exception:  # whatever pydicom raises
            return NOT_UNDERSTOOD
        limits = self.limits
        if association.files >= limits.max_files or association.weight + len(content) > limits.max_total_bytes:
            return OUT_OF_RESOURCES
        try:
            return self._write(association, study, uid, content)
        except OSError:
            return OUT_OF_RESOURCES

    def _write(self, association: _Association, study: str, uid: str, content: bytes) -> int:
        if shutil.disk_usage(self.folder).free < len(content) + SPARE:
            raise OSError(errno.ENOSPC, "No space left on device")
        received = association.studies.get(study)
        if received is None:
            received = Received(self.folder / f"{HIDDEN}{secrets.token_hex(6)}")
            received.folder.mkdir(mode=0o700)
            association.studies[study] = received
        if uid in received.objects:
            return SUCCESS
        path = received.folder / f"{len(received.objects) + 1:05d}.dcm"
        part = path.with_suffix(".part")
        try:
            part.write_bytes(content)
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)
        received.objects.add(uid)
        association.files += 1
        association.weight += len(content)
        return SUCCESS

    def _end(self, event: Event) -> None:
        self._finish(id(event.assoc))

    def _finish(self, association: int) -> None:
        with self._lock:
            ended = self._open.pop(association, None)
        for received in ended.studies.values() if ended else ():
            received.folder = self._show(received.folder)
            if received.objects:
                self.done(received)

    def _show(self, folder: Path) -> Path:
        """A folder under the name that it keeps; nothing where it is empty."""
        for part in folder.glob("*.part"):
            part.unlink()
        shown = folder.with_name(folder.name.replace(HIDDEN, "study-"))
        with contextlib.suppress(OSError):
            folder.rmdir()
            return shown
        return folder.rename(shown)
