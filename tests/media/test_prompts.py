"""The sound library, its committed files, and numbers said in two languages."""

import numpy as np
import pytest

from media import prompts, sounds, tones
from media.codecs import PCMA, PCMU
from media.errors import ParseError, UnknownSound
from media.frame import level_dbfs
from media.prompts import LARGEST_NUMBER, PACKAGED_SOUNDS, SoundLibrary, number_sounds
from media.sounds.make_sounds import TEXTS, texts_of
from media.wave_file import alaw_file, read_as_alaw


@pytest.fixture(scope="module")
def library():
    packaged = SoundLibrary(PACKAGED_SOUNDS)
    packaged.preload()
    return packaged


@pytest.mark.parametrize("language", sorted(TEXTS))
def test_every_text_has_its_file_at_the_house_level_without_clipping(library, language):
    for name in texts_of(language):
        audio = PCMA.decode(library.encoded(f"{language}/{name}", "PCMA"))
        assert audio.size > 8000 * 0.15, name
        assert -25 < level_dbfs(audio) < -17, name
        assert np.abs(audio.astype(int)).max() < 32000, name


def test_both_languages_have_the_same_announcements():
    assert set(TEXTS["de"]) == set(TEXTS["en"])


def test_documented_names_exist(library):
    documented = {word for line in prompts.__doc__.splitlines() if line.startswith("| `") for word in line.split("`")[1::2]}
    for name in documented - {"number_sounds"}:
        for language in TEXTS:
            assert library.encoded(f"{language}/{name}", "PCMA")
    for name in TEXTS["de"]:
        assert name in documented


def test_sounds_stay_small_enough_for_a_wheel():
    assert sum(path.stat().st_size for path in PACKAGED_SOUNDS.rglob("*.wav")) < 4_200_000


def test_music_is_whole_frames_and_repeats_without_a_click(library):
    music = PCMA.decode(library.encoded("music/default", "PCMA")).astype(int)
    assert music.size % 160 == 0
    assert 20 <= music.size / 8000 <= 30
    steps = np.abs(np.diff(np.concatenate([music, music[:1]])))
    assert steps[-1] < 3 * steps.mean()


def test_generated_tones(library):
    ringing = PCMA.decode(library.encoded("tone/ringback", "PCMA"))
    assert tones.dominant_frequency(ringing[:8000]) == pytest.approx(425, abs=1)
    assert tones.dominant_frequency(PCMU.decode(library.encoded("tone/probe-750", "PCMU"))) == pytest.approx(750, abs=1)
    warning = PCMA.decode(library.encoded("tone/warning", "PCMA"))
    assert [tones.dominant_frequency(warning[at : at + 1600]) for at in (0, 3200, 6400)] == [pytest.approx(1000, abs=1)] * 3
    assert [level_dbfs(warning[at : at + 1600]) < -60 for at in (1600, 4800)] == [True] * 2
    assert len(warning) == 8000
    for name, octets in (("tone/silence", 8000), ("tone/pause", 2400)):
        assert len(library.encoded(name, "PCMA")) == octets
        assert level_dbfs(PCMA.decode(library.encoded(name, "PCMA"))) < -70
    told = PCMA.decode(library.encoded("tone/supervised", "PCMA"))
    assert [tones.dominant_frequency(told[at : at + 960]) for at in (0, 1920)] == [pytest.approx(1400, abs=2)] * 2
    assert level_dbfs(told[960:1920]) < -60
    assert len(told) == 2880


def test_other_codec_is_the_same_audio(library):
    alaw, ulaw = (codec.decode(library.encoded("de/greeting", codec.name)).astype(int) for codec in (PCMA, PCMU))
    assert alaw.size == ulaw.size
    assert np.abs(alaw - ulaw).max() <= 1024


@pytest.mark.parametrize(
    "name",
    ["", "greeting", "de/nothing", "../etc/passwd", "de/../de/greeting", "/etc/passwd", "de/.hidden", "de//menu", "DE/menu", "tone/xyz"],
)
def test_unknown_and_crooked_names_are_refused(library, name):
    with pytest.raises(UnknownSound):
        library.encoded(name, "PCMA")


def test_every_packaged_name_can_be_played(library):
    assert sounds.languages() == ("de", "en")
    for name in sounds.packaged():
        assert library.encoded(name, "PCMA")


def test_own_sounds_stand_in_front_and_may_come_later(tmp_path):
    library = SoundLibrary(tmp_path, PACKAGED_SOUNDS)
    library.preload()
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "hello.wav").write_bytes(alaw_file(b"\x55" * 161))
    assert library.encoded("acme/hello", "PCMA") == b"\x55" * 161
    (tmp_path / "de").mkdir()
    (tmp_path / "de" / "menu.wav").write_bytes(alaw_file(b"\x2a" * 80))
    other = SoundLibrary(tmp_path, PACKAGED_SOUNDS)
    other.preload()
    assert other.encoded("de/menu", "PCMA") == b"\x2a" * 80


def test_broken_file_is_named(tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "y.wav").write_bytes(b"RIFF....WAVE")
    with pytest.raises(ParseError, match=r"x/y\.wav: WAVE file without audio"):
        SoundLibrary(tmp_path).preload()


@pytest.mark.parametrize(
    ("number", "de", "en"),
    [
        (0, "0", "0"),
        (1, "1", "1"),
        (21, "21", "21"),
        (99, "99", "99"),
        (100, "100", "100"),
        (101, "100 1", "100 and 1"),
        (121, "100 21", "100 and 21"),
        (900, "900", "900"),
        (1000, "one thousand", "1 thousand"),
        (1001, "one thousand 1", "1 thousand and 1"),
        (2345, "2 thousand 300 45", "2 thousand 300 and 45"),
        (101_000, "100 one thousand", "100 and 1 thousand"),
        (111_000, "100 11 thousand", "100 and 11 thousand"),
        (999_999, "900 99 thousand 900 99", "900 and 99 thousand 900 and 99"),
    ],
)
def test_numbers_are_composed_by_the_rules_of_the_language(number, de, en):
    assert number_sounds(number, "de") == tuple(f"de/number.{word}" for word in de.split())
    assert number_sounds(number, "en") == tuple(f"en/number.{word}" for word in en.split())


def test_every_number_consists_of_sounds_that_exist(library):
    for number in (*range(1000), 1000, 21_021, 700_007, LARGEST_NUMBER):
        for language in TEXTS:
            for name in number_sounds(number, language):
                assert library.encoded(name, "PCMA")


def test_number_without_a_file_of_its_own_is_composed(library):
    said = library.encoded("de/number.121", "PCMA")
    assert said == library.encoded("de/number.100", "PCMA") + library.encoded("de/number.21", "PCMA")


@pytest.mark.parametrize("name", ["de/number.1000000", "de/number.0121", "fr/number.121", "de/number.-1"])
def test_what_is_no_number_is_an_unknown_sound(library, name):
    with pytest.raises(UnknownSound):
        library.encoded(name, "PCMA")


@pytest.mark.parametrize(("number", "language"), [(-1, "de"), (LARGEST_NUMBER + 1, "en"), (1, "fr")])
def test_what_cannot_be_said_is_refused(number, language):
    with pytest.raises(ValueError, match="number"):
        number_sounds(number, language)


def test_wave_file_round_trip_and_odd_length():
    for octets in (b"", b"\x01", b"\x01\x02"):
        file = alaw_file(octets)
        assert len(file) % 2 == 0
        assert int.from_bytes(file[4:8], "little") == len(file) - 8
        assert read_as_alaw(file) == octets
