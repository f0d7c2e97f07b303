"""Files that systems leave beside a user's own: never data."""

from __future__ import annotations

FOLDERS = frozenset({"__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders of macOS archives, Synology's and QNAP's previews, Windows and ext4."""

FILES = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini"})
"""Files of the Windows Explorer, in lower case; those of macOS (``.DS_Store``, ``._NAME``) begin with a dot."""


def is_hidden(name: str) -> bool:
    """Tell by its name whether a file or folder is hidden, or a system's own."""
    return name.startswith(".") or name in FOLDERS or name.lower() in FILES


def is_apple_double(name: str) -> bool:
    """Tell by its path in an archive what macOS packs beside each file: ``__MACOSX/._NAME``."""
    return name.startswith("__MACOSX/") or name.rpartition("/")[2].startswith("._")


def note(count: int) -> tuple[str, ...]:
    """Return the line about hidden files that look like data, as a tuple of one; empty where there were none."""
    if not count:
        return ()
    return (f"{count:,} hidden {'file was' if count == 1 else 'files were'} left out (.NAME, __MACOSX and the like)",)
