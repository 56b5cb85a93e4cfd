"""Sound library and composed announcements (house): a name is a file, `de/queue.greeting` is `<sounds>/de/queue.greeting.wav`.

What the committed library holds, each in `de/` and `en/` (texts in `media/sounds/make_sounds.py`):

| names | use |
|---|---|
| `greeting` `menu` `menu.repeat` `invalid_choice` `no_choice` | front door and menu |
| `menu.for` `menu.press` `menu.option` `menu.star` `menu.hash` | what a menu says of its keys: "for", a label, "press", the key |
| `menu.more` `menu.person` `menu.extension` `menu.outside` `menu.announcement` `menu.hang_up` | labels of what is no queue |
| `department.support` `department.sales` `department.accounting` `department.reception` `department.technical` | labels of queues |
| `department.orders` `department.appointments` `department.returns` `department.personnel` `department.emergency` | and of more |
| `queue.greeting` `queue.wait` `queue.position` `queue.next` `queue.wait_minutes` `queue.exit` | queue |
| `queue.connecting` `queue.overflow` | leaving the queue |
| `number.0` ... `number.99`, `number.100` ... `number.900`, `number.thousand` | say a number: `number_sounds`; others are composed |
| `closed` `holiday` `all_busy` `unavailable` `unknown_number` `error` | why nobody answers |
| `hold.thanks` `thanks` `goodbye` `agent.whisper` `voicemail.greeting` | around the talk |
| `agent.ready` `agent.not_ready` `agent.logged_on` `agent.logged_off` `agent.tagged` `agent.waiting` `agent.longest_wait` | feature codes |
| `agent.picked` | the feature code to pick |
| `agent.echo` | the feature code that has a phone hear itself |
| `agent.pin` `agent.pin_wrong` `agent.pin_wait` | hot desk |
| `recording.notice` `recording.consent` `supervision.notice` | who hears the talk (§ 201 StGB) |
| `callback.offer` `callback.confirmed` `callback.greeting` | callback |

Without a language: `music/default` (24 s, seamless), and made on demand: `tone/ringback` (German cadence, one period), `tone/beep`,
`tone/warning` (the end of the call is near), `tone/supervised` (somebody listens or whispers from now on), `tone/silence` (1 s),
`tone/pause` (0.3 s), `tone/probe-<hz>` (1 s; for self-tests). A folder of sounds of the house's own may stand in front of the library. A
tenant's own sounds are called `@<id>` and lie in the folder that is named with them (ADR 0018): no name leads from one folder into another.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path

from media import sounds, tones
from media.codecs.g711 import ALAW_TO_ULAW, PCMA
from media.errors import ParseError, UnknownSound
from media.frame import SAMPLE_RATE, silence
from media.wave_file import read_as_alaw

PACKAGED_SOUNDS = sounds.FOLDER
LARGEST_NUMBER = 999_999
_NAME = re.compile(r"[a-z0-9_-]+(?:/[a-z0-9_-]+(?:\.[a-z0-9_-]+)*)+")
"""No dot at the beginning of a part, so that no name leaves the folder."""
_NUMBER = re.compile(r"(de|en)/number\.(0|[1-9][0-9]{0,5})")
_PROBE = re.compile(r"tone/probe-(\d{2,4})")
OWN = "@"
"""In front of the id of a tenant's own sound; no name that people choose begins so."""
_OWN = re.compile(r"@[0-9a-f]{16,64}")
OWN_OCTETS = 32 << 20
"""What is kept of tenants' own sounds, the latest heard: a hundred minutes' speech and as much music. The rest is read again."""


class SoundLibrary:
    """Names to encoded audio; a sound is read once and kept, in each codec it is asked for."""

    def __init__(self, *folders: Path) -> None:
        self._folders = folders
        self._encoded: dict[tuple[str, str], bytes] = {}
        self._own: OrderedDict[tuple[str, str, str], bytes] = OrderedDict()
        self._own_octets = 0

    def preload(self) -> int:
        """Read every file now, so that no disk is touched while packets flow; the number of sounds.

        Raises: ParseError: a file that is no prompt, with its path.
        """
        count = 0
        for folder in self._folders:
            for path in sorted(folder.rglob("*.wav")):
                name = path.relative_to(folder).as_posix().removesuffix(".wav")
                if (name, "PCMA") not in self._encoded:
                    self._encoded[name, "PCMA"] = self._read(path)
                    count += 1
        return count

    def encoded(self, name: str, codec: str) -> bytes:
        """The audio of `name` as octets of a codec that is G.711, one a sample. For any other a leg encodes it with all else that it says:
        a stream that is put together of encoded pieces is loud noise for a tenth of a second after each seam.

        Raises: UnknownSound: no such file and no such tone.
        """
        audio = self._encoded.get((name, codec))
        if audio is None:
            audio = self._alaw(name) if codec == "PCMA" else self.encoded(name, "PCMA").translate(ALAW_TO_ULAW)
            self._encoded[name, codec] = audio
        return audio

    def play(self, names: Iterable[str], codec: str, folder: str = "") -> tuple[bytes, dict[str, str]]:
        """Sounds one after the other; whatever cannot be read is left out.

        Args:
            folder: of the tenant's own ones among them, `@<id>`.
        Returns: the audio, and why each name that is not in it is not.
        """
        audio: list[bytes] = []
        left_out: dict[str, str] = {}
        for name in names:
            try:
                audio.append(self._of_tenant(folder, name, codec) if name.startswith(OWN) else self.encoded(name, codec))
            except (UnknownSound, ParseError, OSError) as error:
                left_out[name] = str(error)
        return b"".join(audio), left_out

    def _of_tenant(self, folder: str, name: str, codec: str) -> bytes:
        """An id stands for one audio for ever, so what was read once needs no second look at the disk."""
        key = (folder, name, codec)
        audio = self._own.get(key)
        if audio is not None:
            self._own.move_to_end(key)
            return audio
        if not folder or not _OWN.fullmatch(name):
            raise UnknownSound(f"{name!r} is no name of a tenant's own sound")
        if codec == "PCMA":
            audio = self._read(Path(folder) / f"{name.removeprefix(OWN)}.wav")
        else:
            audio = self._of_tenant(folder, name, "PCMA").translate(ALAW_TO_ULAW)
        self._own[key] = audio
        self._own_octets += len(audio)
        while self._own_octets > OWN_OCTETS and len(self._own) > 1:
            self._own_octets -= len(self._own.popitem(last=False)[1])
        return audio

    def _alaw(self, name: str) -> bytes:
        if not _NAME.fullmatch(name):
            raise UnknownSound(f"{name!r} is no name of a sound")
        made = _made(name)
        if made is not None:
            return made
        for folder in self._folders:
            path = folder / f"{name}.wav"
            if path.is_file():
                return self._read(path)
        number = _NUMBER.fullmatch(name)
        if number:
            parts = number_sounds(int(number[2]), number[1])
            if parts != (name,):
                return b"".join([self.encoded(part, "PCMA") for part in parts])
        raise UnknownSound(f"no sound is called {name!r}")

    @staticmethod
    def _read(path: Path) -> bytes:
        try:
            return read_as_alaw(path.read_bytes())
        except ParseError as error:
            raise ParseError(f"{path}: {error}") from error


def _made(name: str) -> bytes | None:
    probe = _PROBE.fullmatch(name)
    if probe:
        return PCMA.encode(tones.probe(int(probe[1]), 1.0))
    match name:
        case "tone/ringback":
            return PCMA.encode(tones.ringback())
        case "tone/beep":
            return PCMA.encode(tones.tone((1000,), 0.4))
        case "tone/warning":
            return PCMA.encode(tones.warning())
        case "tone/supervised":
            return PCMA.encode(tones.supervised())
        case "tone/silence":
            return PCMA.encode(silence(SAMPLE_RATE))
        case "tone/pause":
            return PCMA.encode(silence(SAMPLE_RATE * 3 // 10))
        case _:
            return None


def number_sounds(number: int, language: str) -> tuple[str, ...]:
    """The sounds that say `number`: German "hundert-einundzwanzig", English "one hundred and twenty-one".

    Raises: ValueError: below 0, above 999 999, or a language without rules.
    """
    if not 0 <= number <= LARGEST_NUMBER:
        raise ValueError(f"number {number} is not between 0 and {LARGEST_NUMBER}")
    if language not in {"de", "en"}:
        raise ValueError(f"no number rules for language {language!r}")
    return tuple(f"{language}/{part}" for part in _number_parts(number, language))


def _number_parts(number: int, language: str) -> list[str]:
    parts: list[str] = []
    thousands, rest = divmod(number, 1000)
    if thousands:
        # German says "eintausend", not "einstausend".
        ends_in_one = language == "de" and thousands % 100 == 1
        said = _below_1000(thousands, language)
        parts += [*said[:-1], "number.one"] if ends_in_one else said
        parts.append("number.thousand")
        if 0 < rest < 100 and language == "en":
            parts.append("number.and")
    if rest or not thousands:
        parts += _below_1000(rest, language)
    return parts


def _below_1000(number: int, language: str) -> list[str]:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return [f"number.{rest}"]
    if not rest:
        return [f"number.{hundreds}00"]
    return [f"number.{hundreds}00", *(["number.and"] if language == "en" else []), f"number.{rest}"]
