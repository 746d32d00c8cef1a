"""Reasons to refuse a live stay, each with its own HTTP status."""

from sepsis.core.errors import UsageError


class UnknownStayError(UsageError):
    """No such live stay."""


class ConflictError(UsageError):
    """The input contradicts what is known about the stay."""


class TooManyError(UsageError):
    """The limit of live stays, or of events of one stay, is reached."""


class TooLateError(UsageError):
    """A time is beyond the longest allowed stay."""
