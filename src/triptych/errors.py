"""The few exceptions that users see. Each message names the file, the value and the remedy."""

from __future__ import annotations


class TriptychError(Exception):
    """Base of every error that is the user's to mend; the command line prints it without a traceback."""


class ConfigError(TriptychError):
    """A recipe or an option is wrong: the message names the key, its value and the nearest valid one."""


class MediaError(TriptychError):
    """A picture or clip can't be read or written.

    Args:
        path: the file, as the user named it.
        reason: what is wrong, in a few words.
        remedy: what to do about it; may be empty.
    """

    def __init__(self, path: object, reason: str, remedy: str = "") -> None:
        self.path, self.reason, self.remedy = str(path), reason, remedy
        super().__init__(f"{path}: {reason}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type[MediaError], tuple[str, str, str]]:
        # Errors cross process boundaries when files are decoded on all cores.
        return type(self), (self.path, self.reason, self.remedy)


class DataError(TriptychError):
    """A folder, a manifest or a shard is missing, damaged or of another version."""


class ModelError(TriptychError):
    """A model can't be found, is damaged, or can't do what is asked."""


class MissingExtra(TriptychError):
    """A feature needs packages that a plain install leaves out.

    Args:
        package: the package that failed to import.
        extra: the extra that brings it.
        purpose: what it is needed for.
    """

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        self.package, self.extra, self.purpose = package, extra, purpose
        super().__init__(f"{purpose} needs the package {package!r}: pip install 'triptych[{extra}]'")

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str, str]]:
        return type(self), (self.package, self.extra, self.purpose)


class MissingDriver(TriptychError):
    """The machine lacks a driver that no Python package brings: the message names it and the package that has it."""
