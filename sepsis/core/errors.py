"""
Errors that a user can cause, and the exit code of each kind. A message contains counts and column names only,
never a patient's id, value or text.
"""


class SepsisError(Exception):
    """
    A mistake in the input; the command line prints it without a traceback.

    `where` is a file, table, section or argument; `todo` the reader's next step.

    Examples
    --------
    >>> print(SettingsError("[labels]", "no setting 'sofa_raise'", todo="Did you mean 'sofa_rise'?"))
    [labels]: no setting 'sofa_raise'. Did you mean 'sofa_rise'?
    """

    exit_code = 1

    def __init__(self, where: str, found: str, expected: str = "", todo: str = ""):
        super().__init__(where, found, expected, todo)
        self.where, self.found, self.expected, self.todo = where, found, expected, todo

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.found}"]
        if self.expected:
            parts.append(f"Expected: {self.expected}")
        if self.todo:
            parts.append(self.todo)
        return " ".join(p if p.endswith((".", "?", "!")) else p + "." for p in parts)


class UsageError(SepsisError):
    """An argument of a command or function is invalid."""

    exit_code = 2


class StoppedError(UsageError):
    """The work was interrupted from outside (full disk, lost cluster); the same command can resume it."""


class SettingsError(SepsisError):
    """A setting in a pipeline file, preset or estimator is invalid."""

    exit_code = 10


class ExportError(SepsisError):
    """An export, or a table passed between stages, violates its contract."""

    exit_code = 11


class NothingLeftError(SepsisError):
    """No data remain: an empty cohort, a class without stays."""

    exit_code = 12


class AuditError(SepsisError):
    """A hard check of the leakage audit failed."""

    exit_code = 13


def nearest(name: str, known) -> str:
    """
    "Did you mean ...?" for a misspelt name, or the list of known names.

    >>> nearest("sofa_raise", ["sofa_rise", "baseline"]), nearest("xyz", ["b", "a"])
    ("Did you mean 'sofa_rise'?", 'Known: a, b.')
    """
    import difflib

    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
