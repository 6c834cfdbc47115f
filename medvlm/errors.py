"""Errors that a person can act on: every message says what is wrong and what to do."""


class MedVLMError(Exception):
    """Base of all errors that are the input's fault; the command line exits with 2 on it."""


class StudyError(MedVLMError):
    """A file or folder cannot be read as a study."""


class RecordError(MedVLMError):
    """A data set, or one of its records, cannot be read."""


class RequestError(MedVLMError):
    """A question, phrase, prompt or batch request is not usable."""


class ModelError(MedVLMError):
    """The model or its weights cannot be loaded."""


class LanguageError(MedVLMError):
    """The language model that reads the questions cannot be loaded or reached."""
