"""Makes the files of this folder: `python -m load.voices.make_voices` (espeak-ng and sox, as `media.sounds.make_sounds`)."""

from __future__ import annotations

import sys

import numpy as np

from load.voices import FOLDER
from media.frame import SAMPLE_RATE
from media.sounds.make_sounds import speak, write

PAUSE_S = 0.4
TEXTS = {
    "agent": (
        ("de", "Guten Tag. Sie sprechen mit einer künstlichen Stimme der Vorführung."),
        ("de", "Ihr Anruf ist in der Warteschlange gewesen und zu mir gekommen."),
        ("de", "Warum gerade zu mir, steht auf der Tafel im Browser. Wenn Sie genug gehört haben, legen Sie einfach auf."),
        ("en", "Hello. This is a synthetic agent of the demonstration. Your call has been queued and was given to me."),
        ("en", "The board in your browser tells why. Just hang up when you have heard enough."),
    ),
    "caller": (
        ("de", "Guten Tag. Ich bin ein künstlicher Anrufer der Vorführung und habe eine Frage zu meiner Rechnung."),
        ("de", "Eigentlich habe ich keine Frage. Aber so hören Sie, dass die Verbindung steht."),
        ("en", "Hello. I am a synthetic caller of the demonstration. You can hear me, so the line is up."),
    ),
}  # fmt: skip


def main() -> None:
    """Write all files; old ones of the same name are replaced."""
    pause = np.zeros(round(PAUSE_S * SAMPLE_RATE), dtype=np.int16)
    for name, sentences in TEXTS.items():
        spoken = [part for language, text in sentences for part in (speak(text, language), pause)]
        write(FOLDER / f"{name}.wav", np.concatenate(spoken))
    sys.stdout.write(f"{', '.join(f'{path.name} {path.stat().st_size} octets' for path in sorted(FOLDER.glob('*.wav')))}\n")


if __name__ == "__main__":
    main()
