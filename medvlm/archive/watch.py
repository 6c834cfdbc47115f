"""Each new study of an archive that matches a rule is fetched and reported, and what was made of it is stored back, once."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from ..errors import MedVLMError, RequestError, StudyError
from . import ArchiveError
from .dicomweb import Archive
from .entries import ArchivedStudy, Rule, digest
from .results import identify

Draft = Callable[[Path, Path], list[Path]]
"""Reports on the study in a folder; the DICOM files that it wrote into another one."""

STORED, REFUSED = "stored", "refused"


class State:
    """Which studies are done, in a small file of their UIDs' hashes: a line each, so that a kill costs no other line.

    While it is entered no other process may use it.
    """

    def __init__(self, folder: Path):
        self.folder, self.file, self.work = folder, folder / "studies.txt", folder / "work"

    def __enter__(self) -> State:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = FileLock(self.folder / "lock", timeout=0)
            self._lock.acquire()
            shutil.rmtree(self.work, ignore_errors=True)  # what a kill left of a patient
            lines = self.file.read_text(errors="replace").splitlines() if self.file.exists() else []
        except Timeout:
            raise RequestError(
                f"Another medvlm watch works with {str(self.folder)!r}: end it or name another."
            ) from None
        except OSError as error:
            raise RequestError(f"{str(self.folder)!r} cannot be used: {error.strerror}.") from None
        words = [line.split() for line in lines]
        self.done = {pair[0]: pair[1] for pair in words if len(pair) == 2 and pair[1] in (STORED, REFUSED)}
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.work, ignore_errors=True)
        self._lock.release()

    def knows(self, study: ArchivedStudy) -> bool:
        return digest(study.uid) in self.done

    def mark(self, study: ArchivedStudy, outcome: str) -> None:
        """On the disk when this returns."""
        try:
            with self.file.open("a") as file:
                file.write(f"\n{digest(study.uid)} {outcome}\n")  # after a line that a kill has cut, too
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RequestError(f"{str(self.file)!r} cannot be written: {error.strerror}.") from None
        self.done[digest(study.uid)] = outcome


@dataclass
class Round:
    """What one look at the archive has led to; studies by their names, with a sentence where they were not reported."""

    stored: dict[str, int] = field(default_factory=dict)  # objects that were stored
    refused: dict[str, str] = field(default_factory=dict)  # cannot be reported; not tried again
    failed: dict[str, str] = field(default_factory=dict)  # the archive's fault; tried again


@dataclass
class Watcher:
    archive: Archive
    rule: Rule
    state: State
    draft: Draft
    settle: float = 30.0  # seconds in which a study may not grow before it is taken
    tell: Callable[[str], None] = lambda line: None

    def round(self) -> Round:
        """Look once, and report on every study that is new and complete.

        Raises:
            ArchiveError: the archive does not say what it holds.
            MedVLMError: what is no study's fault, such as a model that is not there or a full disk.
        """
        out = Round()
        before = {study.uid: study.images for study in self._new()}
        if before:
            time.sleep(self.settle)
        for study in self._new() if before else []:
            if study.uid in before and before[study.uid] == study.images:
                self._try(study, out)
        return out

    def _new(self) -> list[ArchivedStudy]:
        return [study for study in self.archive.studies(self.rule) if not self.state.knows(study)]

    def _try(self, study: ArchivedStudy, out: Round) -> None:
        try:
            count = self._report(study)
        except ArchiveError as error:
            out.failed[study.name] = str(error)
            self.tell(f"{study.name}: not yet reported. {error}")
        except StudyError as error:
            self.state.mark(study, REFUSED)
            out.refused[study.name] = str(error)
            self.tell(f"{study.name}: cannot be reported. {error}")
        else:
            if count:
                self.state.mark(study, STORED)
                out.stored[study.name] = count
                self.tell(f"{study.name}: reported, {count} objects stored.")

    def _report(self, study: ArchivedStudy) -> int:
        """How many objects were stored; 0 where no series matches the rule yet."""
        series = [one for one in self.archive.series(study.uid) if self.rule.takes(one)]
        if not series:
            return 0
        self.state.work.mkdir(mode=0o700, exist_ok=True)
        given, made = self.state.work / "study", self.state.work / "made"
        try:
            sources = self.archive.fetch(study, given, series)
            paths = self._drafted(given, made)
            identify(paths, sources)
            return self.archive.store(paths)
        finally:
            shutil.rmtree(self.state.work, ignore_errors=True)

    def _drafted(self, given: Path, made: Path) -> list[Path]:
        try:
            paths = self.draft(given, made)
        except RequestError as error:
            if isinstance(error.__cause__, OSError):  # the disk's fault, not the study's
                raise
            raise StudyError(str(error)) from None
        except MedVLMError:
            raise
        except Exception as error:  # the next study is not to wait for this one
            if os.environ.get("MEDVLM_DEBUG"):
                raise
            raise StudyError(f"A fault of ours ({type(error).__name__}); MEDVLM_DEBUG=1 shows where.") from None
        if not paths:
            raise StudyError("It holds no DICOM images that a report can refer to.")
        return paths
