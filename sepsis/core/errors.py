"""
What can go wrong for a user, and the exit code each kind ends in.

An error says where, what was found, what was expected and what to do. It carries counts and
column names only: never a patient's id, value or text.
"""


class SepsisError(Exception):
    """
    A mistake in what the package was given; the command line prints it without a traceback.

    Parameters
    ----------
    where : str
        File, table, section or argument the message is about.
    found : str
        What is there.
    expected : str, optional
        What should be there.
    todo : str, optional
        What the reader can do about it.

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
    """An argument of a command or call makes no sense."""

    exit_code = 2


class StoppedError(UsageError):
    """Something outside ended the work (a full disk, a lost cluster): the same command can go on later."""


class SettingsError(SepsisError):
    """A pipeline file, preset or estimator setting is wrong."""

    exit_code = 10


class ExportError(SepsisError):
    """An export, or a table handed from stage to stage, breaks its contract."""

    exit_code = 11


class NothingLeftError(SepsisError):
    """Nothing is left to do: an empty cohort, a class without stays."""

    exit_code = 12


class AuditError(SepsisError):
    """A hard check of the leakage audit failed."""

    exit_code = 13


def nearest(name: str, known) -> str:
    """
    "Did you mean ...?" for a misspelt name, or the list of what is known.

    Examples
    --------
    >>> nearest("sofa_raise", ["sofa_rise", "baseline"])
    "Did you mean 'sofa_rise'?"
    >>> nearest("xyz", ["b", "a"])
    'Known: a, b.'
    """
    import difflib

    known = sorted(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}."
