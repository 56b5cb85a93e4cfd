"""Which announcements there are: asked before a name is stored, since a play of a sound that is not there is silence (media.sounds)."""

from __future__ import annotations

from media import sounds

LANGUAGES = sounds.languages()
"""Announcements are spoken in these."""


def missing(name: str) -> list[str]:
    """What a play of `name` would look for and not find: the sound itself or, where it names no folder, its recording in a language."""
    wanted = [name] if "/" in name else [f"{language}/{name}" for language in LANGUAGES]
    return [one for one in wanted if one not in sounds.packaged()]


def spoken(*wished: str) -> str:
    """The first of these languages that announcements are spoken in; none: the first there is. What is not spoken would be silence."""
    return next((one for one in wished if one in LANGUAGES), LANGUAGES[0])
