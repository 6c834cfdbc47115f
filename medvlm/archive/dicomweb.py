"""Studies of an archive over DICOMweb: found (QIDO-RS), fetched (WADO-RS) and stored (STOW-RS), whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pydicom
from dicomweb_client.web import DICOMwebClient
from pydicom.dataset import Dataset

from ..errors import RequestError, StudyError
from ..progress import tracked
from ..studies.limits import DEFAULT, Limits, in_bytes
from . import ArchiveError
from .entries import ArchivedSeries, ArchivedStudy, Rule, study_of, uid_of, word_of
from .transport import Patience, asking, bounded, check_address, session_of

PAGE = 200  # results that are asked for at once
MOST_RESULTS = 20_000  # of one search
AT_ONCE = 32 * 2**20  # bytes of files that are stored with one request


class Archive:
    """An archive at a DICOMweb address. Every method raises `ArchiveError` with one sentence where it does not do its part."""

    def __init__(self, url: str, limits: Limits = DEFAULT, patience: Patience | None = None):
        self.limits = limits
        self.patience = patience or Patience(most_bytes=limits.max_total_bytes)
        url = check_address(url)
        self.host = urlsplit(url).netloc
        with asking(self.host):
            self._client = DICOMwebClient(
                url,
                session_of(),
                callback=bounded(self.patience),
                timeout=self.patience.silence,
                permissive_uid=True,  # many archives hold some that break a rule; `uid_of` checks them
            )
            self._client.set_http_retry_params(retry=False)  # a STOW that failed may not be sent a second time unseen

    def studies(self, rule: Rule, uid: str | None = None) -> Iterator[ArchivedStudy]:
        """Those that match all of a rule but the body part, or the one of a UID, as the archive goes through them."""
        filters = {**rule.filters, **({"StudyInstanceUID": uid} if uid else {})}

        def search(limit: int, offset: int) -> list[Any]:
            return self._client.search_for_studies(
                limit=limit, offset=offset, fields=["StudyDescription"], search_filters=filters
            )

        for found in self._pages(search, "StudyInstanceUID"):
            with asking(self.host):
                study = study_of(found)
            if uid in (None, study.uid) and rule.means(study):
                yield study

    def series(self, study: str) -> list[ArchivedSeries]:
        def search(limit: int, offset: int) -> list[Any]:
            return self._client.search_for_series(study, limit=limit, offset=offset, fields=["BodyPartExamined"])

        return [
            ArchivedSeries(uid_of(one, "SeriesInstanceUID"), word_of(one, "Modality"), word_of(one, "BodyPartExamined"))
            for one in self._pages(search, "SeriesInstanceUID")
        ]

    def instances(self, study: str, series: str | None = None) -> set[str]:
        """The SOP Instance UIDs of all objects of a study or of a series of it."""

        def search(limit: int, offset: int) -> list[Any]:
            return self._client.search_for_instances(study, series, limit=limit, offset=offset)

        return {uid_of(one, "SOPInstanceUID") for one in self._pages(search, "SOPInstanceUID")}

    def fetch(self, study: ArchivedStudy, folder: Path, series: Sequence[ArchivedSeries]) -> set[str]:
        """Write series of a study as `folder`, which appears once all of it is there; the UIDs of its objects.

        Raises:
            RequestError: the folder is there already or cannot be written.
            StudyError: the study is larger than a study may be.
        """
        if folder.exists():
            raise RequestError(f"{str(folder)!r} is there already: remove it to fetch the study anew.")
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".fetching-", dir=folder.parent))
            try:
                objects = self._fetch(study.uid, scratch, series)
                scratch.rename(folder)
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise RequestError(f"{str(folder)!r} cannot be written: {error.strerror or 'it cannot be used'}.") from None
        return objects

    def _fetch(self, study: str, folder: Path, series: Sequence[ArchivedSeries]) -> set[str]:
        listed: set[str] = set()
        there: set[str] = set()
        weight = 0
        for one in tracked(series):
            listed |= self.instances(study, one.uid)
            if len(listed) > self.limits.max_files:
                raise StudyError(f"The study holds more than {self.limits.max_files} files, too many for one study.")
            with asking(self.host):
                for data in self._client.iter_series(study, one.uid, media_types=(("application/dicom", "*"),)):
                    uid = uid_of(data, "SOPInstanceUID")
                    if uid not in listed or uid in there or uid_of(data, "StudyInstanceUID") != study:
                        continue
                    path = folder / f"{len(there) + 1:05d}.dcm"
                    data.save_as(path, enforce_file_format=True)
                    weight += path.stat().st_size
                    if weight > self.limits.max_total_bytes:
                        raise StudyError(
                            f"The study holds more than {in_bytes(self.limits.max_total_bytes)}, too large for one study."
                        )
                    there.add(uid)
        if there != listed or not there:
            raise ArchiveError(
                f"{self.host} gave {len(there)} of the {len(listed)} files of the study, so that nothing is kept: try again."
            )
        return there

    def store(self, paths: Sequence[Path]) -> int:
        """Store DICOM files; how many there were, all of which the archive has confirmed.

        Raises:
            RequestError: one of them is no DICOM file; nothing is sent then.
            ArchiveError: not all are stored; it says how many.
        """
        files = [_File.read(path, self.limits) for path in paths]
        if not files:
            raise RequestError("There are no DICOM files to store: name some.")
        stored = 0
        for batch in tracked(list(_batches(files))):
            confirmed, failure = self._send(batch)
            stored += confirmed
            if confirmed < len(batch):
                reason = failure or f"{self.host} did not take all files."
                again = "storing them again doubles nothing"
                raise ArchiveError(f"{reason} It holds {stored} of the {len(files)} files; {again}.")
        return stored

    def _send(self, batch: list[_File]) -> tuple[int, str]:
        """How many files of one study the archive holds after they were sent, and what went wrong."""
        named, failure = {file.uid for file in batch}, ""
        confirmed: set[str] = set()
        try:
            with asking(self.host):
                answer = self._client.store_instances([file.whole() for file in batch], batch[0].study)
                confirmed = {str(item.ReferencedSOPInstanceUID) for item in answer.get("ReferencedSOPSequence") or ()}
        except ArchiveError as error:
            failure = str(error)
        if named - confirmed:  # not told, which is not yet lost: what the archive lists is stored
            try:
                confirmed |= self.instances(batch[0].study)
            except ArchiveError as error:
                failure = failure or str(error)
        return sum(file.uid in confirmed for file in batch), failure

    def _pages(self, search: Callable[[int, int], list[Any]], key: str) -> Iterator[Dataset]:
        """All results of a search, each once; also where the archive gives less than it is asked for, or the same again.

        Raises `ArchiveError` for `MOST_RESULTS` or more, so that none is overlooked in silence.
        """
        seen: set[str] = set()
        offset = 0
        while offset < MOST_RESULTS:
            with asking(self.host):
                page = [Dataset.from_json(result) for result in search(PAGE, offset)]
                fresh = {uid_of(found, key): found for found in page}
            new = fresh.keys() - seen
            if not new:
                return
            yield from (found for uid, found in fresh.items() if uid in new)
            seen |= new
            offset += len(page)
        raise ArchiveError(
            f"{self.host} finds {MOST_RESULTS:,} or more: narrow the search by date or modality (--since, --until, --modality)."
        )


@dataclass(frozen=True)
class _File:
    """A DICOM file that is to be stored."""

    path: Path
    uid: str
    study: str
    size: int  # bytes

    @classmethod
    def read(cls, path: Path, limits: Limits) -> _File:
        try:
            size = path.stat().st_size
            header = pydicom.dcmread(path, specific_tags=["SOPInstanceUID", "StudyInstanceUID", "SOPClassUID"])
            found = cls(path, uid_of(header, "SOPInstanceUID"), uid_of(header, "StudyInstanceUID"), size)
        except FileNotFoundError:
            raise RequestError(f"There is no file {path.name!r}.") from None
        except Exception:  # whatever pydicom raises
            raise RequestError(f"{path.name!r} is no DICOM file of a study: only those can be stored.") from None
        if size > limits.max_bytes:
            raise RequestError(f"{path.name!r} is larger than {limits.max_bytes // 2**20} MiB, too large to be stored.")
        return found

    def whole(self) -> Dataset:
        return pydicom.dcmread(self.path)


def _batches(files: list[_File]) -> Iterator[list[_File]]:
    """Files of one study each, together no more than one request should hold."""
    batch: list[_File] = []
    for file in sorted(files, key=lambda file: file.study):
        if batch and (file.study != batch[0].study or sum(f.size for f in batch) + file.size > AT_ONCE):
            yield batch
            batch = []
        batch.append(file)
    yield batch
