"""Makes every sound file of this folder: `python -m media.sounds.make_sounds` (espeak-ng speaks, sox resamples, music is composed here);
with names behind it, only those.

Only this script knows the texts; the files are its output and are committed, so that a service runs without espeak-ng or sox. The same
versions of both make the same octets again (no dither).
Stored as A-law WAV, 8 kHz mono. Speech has -20 dBFS while somebody speaks, music lies 4 dB under it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from media.codecs.g711 import PCMA
from media.frame import SAMPLE_RATE, Samples
from media.sound_file import SPEECH_DBFS, levelled
from media.wave_file import alaw_file

MUSIC_DBFS = -24.0
_EDGE_S = 0.03

TEXTS: dict[str, dict[str, str]] = {
    "de": {
        "greeting": "Guten Tag und herzlich willkommen.",
        "menu": "Für den Support drücken Sie die 1. Für den Vertrieb die 2. Für die Buchhaltung die 3.",
        "menu.repeat": "Um das Menü noch einmal zu hören, drücken Sie die Sterntaste.",
        "menu.for": "Für",
        "menu.press": "drücken Sie die",
        "menu.option": "Für Auswahl",
        "menu.star": "Sterntaste.",
        "menu.hash": "Rautetaste.",
        "menu.more": "eine weitere Auswahl",
        "menu.person": "einen Mitarbeiter",
        "menu.extension": "die Durchwahl",
        "menu.outside": "eine Weiterleitung nach außen",
        "menu.announcement": "eine Ansage",
        "menu.hang_up": "das Ende des Gesprächs",
        "department.support": "den Support",
        "department.sales": "den Vertrieb",
        "department.accounting": "die Buchhaltung",
        "department.reception": "die Zentrale",
        "department.technical": "die Technik",
        "department.orders": "Bestellungen",
        "department.appointments": "Termine",
        "department.returns": "Rückgaben und Reklamationen",
        "department.personnel": "die Personalabteilung",
        "department.emergency": "den Notdienst",
        "invalid_choice": "Diese Auswahl gibt es leider nicht.",
        "no_choice": "Wir haben keine Eingabe erhalten.",
        "queue.greeting": "Alle Mitarbeiter sprechen gerade. Ihr Anruf wird gehalten und der Reihe nach angenommen.",
        "queue.wait": "Bitte haben Sie noch einen Moment Geduld.",
        "queue.position": "Sie sind Anrufer Nummer",
        "queue.next": "Sie sind als Nächstes an der Reihe.",
        "queue.wait_minutes": "Die voraussichtliche Wartezeit in Minuten beträgt",
        "queue.exit": "Wenn Sie nicht warten möchten, drücken Sie die Null.",
        "queue.connecting": "Sie werden jetzt verbunden.",
        "queue.overflow": "Wir verbinden Sie mit einer anderen Abteilung.",
        "closed": "Sie rufen außerhalb unserer Geschäftszeiten an. Bitte versuchen Sie es später noch einmal.",
        "holiday": "Heute ist Feiertag. Wir sind am nächsten Werktag wieder für Sie da.",
        "all_busy": "Leider sind zur Zeit alle Leitungen besetzt. Bitte rufen Sie später wieder an.",
        "unavailable": "Der gewünschte Teilnehmer ist zur Zeit nicht erreichbar.",
        "unknown_number": "Diese Nummer ist uns nicht bekannt.",
        "thanks": "Vielen Dank für Ihren Anruf.",
        "goodbye": "Auf Wiederhören.",
        "hold.thanks": "Vielen Dank, dass Sie warten.",
        "recording.notice": "Dieses Gespräch wird zur Sicherung der Qualität aufgezeichnet. Wenn Sie das nicht wünschen, sagen Sie es.",
        "supervision.notice": "Dieses Gespräch kann zur Qualitätssicherung mitgehört werden.",
        "recording.consent": "Wenn Sie mit der Aufzeichnung einverstanden sind, drücken Sie die 1.",
        "callback.offer": "Möchten Sie zurückgerufen werden, drücken Sie die 1. Ihr Platz in der Reihe bleibt erhalten.",
        "callback.confirmed": "Danke. Wir rufen Sie zurück, sobald Sie an der Reihe sind.",
        "callback.greeting": "Guten Tag, dies ist der Rückruf, um den Sie gebeten haben.",
        "voicemail.greeting": "Bitte sprechen Sie nach dem Ton.",
        "agent.whisper": "Anruf aus der Warteschlange.",
        "agent.ready": "Sie sind bereit.",
        "agent.not_ready": "Sie sind in Pause.",
        "agent.logged_on": "Sie sind angemeldet.",
        "agent.logged_off": "Sie sind abgemeldet.",
        "agent.tagged": "Der Anruf ist gekennzeichnet mit",
        "agent.waiting": "Anzahl der wartenden Anrufer:",
        "agent.longest_wait": "Längste Wartezeit in Minuten:",
        "agent.picked": "Ihr Telefon klingelt gleich.",
        "agent.echo": "Sie hören sich jetzt selbst.",
        "agent.pin": "Bitte geben Sie Ihre Geheimzahl ein, und danach die Rautetaste.",
        "agent.pin_wrong": "Diese Geheimzahl ist nicht richtig.",
        "agent.pin_wait": "Es waren zu viele falsche Geheimzahlen. Bitte versuchen Sie es später noch einmal.",
        "error": "Es ist ein technischer Fehler aufgetreten.",
    },
    "en": {
        "greeting": "Hello, and welcome.",
        "menu": "For support, press 1. For sales, press 2. For accounting, press 3.",
        "menu.repeat": "To hear the menu again, press the star key.",
        "menu.for": "For",
        "menu.press": "press",
        "menu.option": "For option",
        "menu.star": "star.",
        "menu.hash": "hash.",
        "menu.more": "more choices",
        "menu.person": "an agent",
        "menu.extension": "extension",
        "menu.outside": "an outside line",
        "menu.announcement": "an announcement",
        "menu.hang_up": "the end of this call",
        "department.support": "support",
        "department.sales": "sales",
        "department.accounting": "accounting",
        "department.reception": "reception",
        "department.technical": "the technical department",
        "department.orders": "orders",
        "department.appointments": "appointments",
        "department.returns": "returns and complaints",
        "department.personnel": "human resources",
        "department.emergency": "the emergency service",
        "invalid_choice": "Sorry, there is no such choice.",
        "no_choice": "We did not receive an entry.",
        "queue.greeting": "All our agents are busy. Your call is held and will be answered in turn.",
        "queue.wait": "Please be patient for a moment longer.",
        "queue.position": "You are caller number",
        "queue.next": "You are next in line.",
        "queue.wait_minutes": "The expected waiting time in minutes is",
        "queue.exit": "If you do not want to wait, press zero.",
        "queue.connecting": "You are being connected now.",
        "queue.overflow": "We are connecting you to another department.",
        "closed": "You are calling outside our business hours. Please try again later.",
        "holiday": "Today is a public holiday. We are back on the next working day.",
        "all_busy": "Sorry, all lines are busy at the moment. Please call again later.",
        "unavailable": "The person you have called is not available at the moment.",
        "unknown_number": "We do not know this number.",
        "thanks": "Thank you for calling.",
        "goodbye": "Goodbye.",
        "hold.thanks": "Thank you for holding.",
        "recording.notice": "This call is recorded to assure its quality. If you do not agree, please say so.",
        "supervision.notice": "This call may be listened to for quality assurance.",
        "recording.consent": "If you agree to the recording, press 1.",
        "callback.offer": "If you would like to be called back, press 1. You will keep your place in line.",
        "callback.confirmed": "Thank you. We will call you back when it is your turn.",
        "callback.greeting": "Hello, this is the call back you asked for.",
        "voicemail.greeting": "Please speak after the tone.",
        "agent.whisper": "Call from the queue.",
        "agent.ready": "You are ready.",
        "agent.not_ready": "You are not ready.",
        "agent.logged_on": "You are logged on.",
        "agent.logged_off": "You are logged off.",
        "agent.tagged": "The call is tagged with",
        "agent.waiting": "Number of callers waiting:",
        "agent.longest_wait": "Longest wait in minutes:",
        "agent.picked": "Your phone will ring in a moment.",
        "agent.echo": "You will now hear yourself.",
        "agent.pin": "Please enter your PIN, and then the hash key.",
        "agent.pin_wrong": "This PIN is not right.",
        "agent.pin_wait": "There were too many wrong PINs. Please try again later.",
        "error": "A technical error has occurred.",
    },
}
VOICES = {"de": "de", "en": "en-gb"}
HUNDREDS = {
    "de": {count * 100: f"{'ein' if count == 1 else count}hundert" for count in range(1, 10)},
    "en": {count * 100: f"{count} hundred" for count in range(1, 10)},
}
EXTRA_NUMBER_WORDS = {"de": {"number.thousand": "tausend", "number.one": "ein"}, "en": {"number.thousand": "thousand", "number.and": "and"}}


def texts_of(language: str) -> dict[str, str]:
    """Every name of one language with what is said."""
    numbers = {f"number.{number}": str(number) for number in range(100)}
    hundreds = {f"number.{number}": text for number, text in HUNDREDS[language].items()}
    return TEXTS[language] | numbers | hundreds | EXTRA_NUMBER_WORDS[language]


def speak(text: str, language: str) -> Samples:
    """espeak-ng through sox to 8 kHz, with the telephone band's lower edge, at the house level."""
    espeak, sox = _program("espeak-ng"), _program("sox")
    spoken = subprocess.run(  # noqa: S603 - program and arguments are our own
        [espeak, "-v", VOICES[language], "-s", "150", "-g", "2", "--stdout", text], check=True, capture_output=True
    ).stdout
    resampled = subprocess.run(  # noqa: S603 - program and arguments are our own
        [sox, "-q", "-D", "-t", "wav", "--ignore-length", "-",
         "-t", "raw", "-e", "signed", "-b", "16", "-r", str(SAMPLE_RATE), "-c", "1", "-L", "-",
         "gain", "-6", "highpass", "200", "rate", "-v", str(SAMPLE_RATE)],
        check=True, capture_output=True, input=spoken,
    ).stdout  # fmt: skip
    return levelled(trimmed(np.frombuffer(resampled, dtype="<i2").astype(np.float64)), SPEECH_DBFS)


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SystemExit(f"{name} is not installed")
    return path


def trimmed(audio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cut silence at both ends to 30 ms, so that composed announcements flow."""
    loud = np.flatnonzero(np.abs(audio) > 150)
    if loud.size == 0:
        return audio
    edge = round(_EDGE_S * SAMPLE_RATE)
    return audio[max(0, loud[0] - edge) : loud[-1] + edge]


# A slow waltz of eight bars in C, plucked strings over a soft bass; written for this project.
_BEAT_S = 1.0
_CHORDS = (
    (48, (60, 64, 67)), (45, (60, 64, 69)), (41, (60, 65, 69)), (43, (59, 62, 67)),
    (48, (60, 64, 67)), (52, (59, 64, 67)), (41, (57, 60, 65)), (43, (59, 62, 65)),
)  # fmt: skip
_MELODY = (
    ((0.0, 76), (2.0, 79)), ((0.0, 81), (2.0, 79)), ((0.0, 77), (1.0, 76), (2.0, 74)), ((0.0, 74),),
    ((0.0, 79), (2.0, 84)), ((0.0, 83), (2.0, 79)), ((0.0, 81), (1.0, 79), (2.0, 77)), ((0.0, 74), (1.0, 71), (2.0, 74)),
)  # fmt: skip


def music() -> Samples:
    """24 s that repeat without a seam: what rings over the end is added to the beginning."""
    bar = round(3 * _BEAT_S * SAMPLE_RATE)
    length = bar * len(_CHORDS)
    piece = np.zeros(length)
    for index, ((bass, chord), melody) in enumerate(zip(_CHORDS, _MELODY, strict=True)):
        start = index * bar
        _add(piece, start, _note(bass, 2.8, 0.5))
        for beat, pitch in enumerate((*chord[:1], *chord[1:])):
            _add(piece, start + round(beat * _BEAT_S * SAMPLE_RATE), _note(pitch, 2.2, 0.32))
            _add(piece, start + round((beat + 0.5) * _BEAT_S * SAMPLE_RATE), _note(chord[(beat + 1) % 3], 1.6, 0.2))
        for beat_at, pitch in melody:
            _add(piece, start + round(beat_at * _BEAT_S * SAMPLE_RATE), _note(pitch, 2.6, 0.6))
    return levelled(piece, MUSIC_DBFS)


def _note(pitch: int, seconds: float, loudness: float) -> NDArray[np.float64]:
    """A soft pluck: six partials, the higher the sooner gone, 4 ms attack."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    wave = np.zeros(time.size)
    for partial in range(1, 7):
        if frequency * partial < 3400:
            wave += np.sin(2 * np.pi * frequency * partial * time) * np.exp(-time * (1.1 + 0.9 * partial)) / partial**1.6
    release = np.minimum(1.0, (seconds - time) / 0.1)
    return loudness * 8000 * wave * np.minimum(1.0, time / 0.004) * release


def _add(piece: NDArray[np.float64], start: int, note: NDArray[np.float64]) -> None:
    np.add.at(piece, (start + np.arange(note.size)) % piece.size, note)


def write(path: Path, audio: Samples) -> None:
    """One file, padded to even length by the container only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(alaw_file(PCMA.encode(audio)))


def main(*names: str) -> None:
    """Write the files of these names in each language, without any all files; old ones of the same name are replaced."""
    root = Path(__file__).parent
    for language in TEXTS:
        for name, text in texts_of(language).items():
            if not names or name in names:
                write(root / language / f"{name}.wav", speak(text, language))
    if not names:
        write(root / "music" / "default.wav", music())
    files = sorted(root.rglob("*.wav"))
    sys.stdout.write(f"{len(files)} files, {sum(file.stat().st_size for file in files)} octets\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
