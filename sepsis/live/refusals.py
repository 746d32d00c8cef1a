"""
Why a live stay is refused, beside what is wrong with a table: each kind has its own answer over HTTP.
"""

from sepsis.core.errors import UsageError


class UnknownStayError(UsageError):
    """No such live stay."""


class ConflictError(UsageError):
    """What was given contradicts what is known of the stay."""


class TooManyError(UsageError):
    """A limit on live stays, or on the events of one, is reached."""


class TooLateError(UsageError):
    """A time is later than any stay may last."""
