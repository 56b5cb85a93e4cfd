"""What is heard under a name: the order of languages, own sounds before packaged ones, numbers put together, and what is missing."""

import pytest

from acd import sounds
from media.errors import UnknownSound
from media.prompts import OWN, PACKAGED_SOUNDS, SoundLibrary, number_sounds
from media.sound_file import SPEECH_DBFS
from media.wave_file import alaw_file

OWN_SOUNDS = {
    "de/queue.greeting": "a1",
    "en/welcome": "b2",
    "fr/menu": "c3",
    "fr/only": "d4",
    "pl/only": "e5",
    "music/harp": "f6",
    "de/number.5": "a7",
    "de/number.105": "a8",
}


@pytest.mark.parametrize(
    ("name", "wished", "tenants", "heard"),
    [
        ("queue.greeting", "de", "de", "@a1"),  # the own one before the packaged one
        ("queue.greeting", "en", "de", "en/queue.greeting"),  # the language before the voice
        ("queue.greeting", "fr", "de", "@a1"),  # the tenant's language, and there the own one
        ("queue.greeting", "fr", "en", "en/queue.greeting"),
        ("queue.greeting", "fr", "fr", "@a1"),  # German is tried before English
        ("menu", "fr", "de", "@c3"),  # a language that the house does not speak
        ("menu", "en", "fr", "en/menu"),
        ("menu", "xx", "fr", "@c3"),
        ("welcome", "de", "de", "@b2"),  # there is no German one
        ("only", "de", "en", "@d4"),  # any other, the first by name
        ("only", "pl", "de", "@e5"),
        ("en/queue.greeting", "de", "de", "en/queue.greeting"),
        ("en/only", "de", "de", "@d4"),  # what was taken away is not silence
        ("music/harp", "de", "de", "@f6"),
        ("music/default", "de", "de", "music/default"),
        ("music/gone", "de", "de", "music/default"),
        ("tone/beep", "de", "de", "tone/beep"),
        ("number.7", "de", "de", "de/number.7"),
        ("number.5", "de", "de", "@a7"),
        ("number.105", "de", "de", "@a8"),
        ("number.205", "de", "de", "de/number.200 @a7"),  # each part by itself
        ("number.205", "en", "de", "en/number.200 en/number.and en/number.5"),
        ("number.205", "fr", "de", "de/number.200 @a7"),
        ("nothing", "de", "de", ""),
        ("tone/nothing", "de", "de", ""),
        ("number.1000000", "de", "de", ""),
        ("@a1", "de", "de", ""),  # an id is no name
        ("acme/hello", "de", "de", ""),
    ],
)
def test_the_language_comes_first_and_in_each_the_own_sound(name, wished, tenants, heard):
    assert " ".join(sounds.found(name, wished, tenants, OWN_SOUNDS)) == heard


def test_without_own_sounds_everything_packaged_is_heard_as_it_is_called():
    for name in sounds.packaged():
        assert sounds.found(name, "de", "de", {}) == (name,)


@pytest.mark.parametrize("language", sounds.LANGUAGES)
@pytest.mark.parametrize("number", [0, 5, 100, 121, 1001, 21_000, 999_999])
def test_numbers_are_said_as_the_library_says_them(number, language):
    assert sounds.found(f"number.{number}", language, "de", {}) == number_sounds(number, language)


def test_what_is_nowhere_keeps_its_name_so_that_it_can_be_told():
    assert sounds.played(("greeting", "nothing", "de/nothing"), "en", "de", {}) == ("en/greeting", "en/nothing", "de/nothing")


def test_an_id_is_told_by_its_name():
    assert sounds.configured("@b2", OWN_SOUNDS) == "en/welcome"
    assert sounds.configured("en/menu", OWN_SOUNDS) == "en/menu"
    assert sounds.configured("@00", OWN_SOUNDS) == "@00"


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("menu", []),
        ("welcome", []),
        ("only", []),
        ("nothing", ["de/nothing", "en/nothing"]),
        ("de/welcome", ["de/welcome"]),
        ("en/welcome", []),
        ("music/harp", []),
        ("music/gone", ["music/gone"]),
        ("tone/beep", []),
        ("number.205", []),
        ("../../etc/passwd", ["../../etc/passwd"]),
        ("@a1", ["de/@a1", "en/@a1"]),
    ],
)
def test_what_is_missing_is_named_before_it_is_stored(name, missing):
    assert sounds.missing(name, OWN_SOUNDS) == missing


class TestLibrary:
    """What the media workers make of it."""

    @pytest.fixture
    def folders(self, tmp_path):
        for tenant, octet in (("acme", b"\x55"), ("other", b"\x2a")):
            (tmp_path / tenant).mkdir()
            (tmp_path / tenant / f"{'ab' * 20}.wav").write_bytes(alaw_file(octet * 160))
        (tmp_path / f"{'cd' * 20}.wav").write_bytes(alaw_file(b"\x11" * 160))
        return tmp_path

    def test_the_same_id_is_each_tenants_own(self, folders):
        library = SoundLibrary(PACKAGED_SOUNDS)
        for tenant, octet in (("acme", b"\x55"), ("other", b"\x2a"), ("acme", b"\x55")):
            assert library.play([OWN + "ab" * 20], "PCMA", str(folders / tenant)) == (octet * 160, {})

    @pytest.mark.parametrize("name", ["@../" + "cd" * 20, "@/" + "cd" * 20, "@", "@" + "ab" * 20 + "/..", "@.", "@AB", "@" + "cd" * 20])
    def test_no_name_leads_out_of_the_folder(self, folders, name):
        audio, left_out = SoundLibrary(PACKAGED_SOUNDS).play([name], "PCMA", str(folders / "acme"))
        assert (audio, list(left_out)) == (b"", [name])

    def test_without_a_folder_there_is_no_own_sound(self, folders, monkeypatch):
        monkeypatch.chdir(folders / "acme")
        assert SoundLibrary(folders / "acme").play([OWN + "ab" * 20], "PCMA")[0] == b""
        with pytest.raises(UnknownSound):
            SoundLibrary(folders / "acme").encoded(OWN + "ab" * 20, "PCMA")

    def test_what_is_known_is_played_and_the_rest_is_left_out_with_its_reason(self, folders):
        library = SoundLibrary(PACKAGED_SOUNDS)
        audio, left_out = library.play(["tone/beep", "de/nothing", OWN + "ab" * 20, OWN + "00" * 20], "PCMU", str(folders / "acme"))
        assert len(audio) == 3200 + 160
        assert sorted(left_out) == [OWN + "00" * 20, "de/nothing"]
        assert "No such file" in left_out[OWN + "00" * 20]

    def test_a_broken_file_is_left_out(self, folders):
        (folders / "acme" / f"{'ef' * 20}.wav").write_bytes(b"RIFF")
        assert "not a RIFF" in SoundLibrary().play([OWN + "ef" * 20], "PCMA", str(folders / "acme"))[1][OWN + "ef" * 20]

    def test_what_is_kept_of_own_sounds_has_a_bound(self, folders, monkeypatch):
        monkeypatch.setattr("media.prompts.OWN_OCTETS", 400)
        library = SoundLibrary()
        for tenant in ("acme", "other", "acme", "other"):
            for codec in ("PCMA", "PCMU"):
                library.play([OWN + "ab" * 20], codec, str(folders / tenant))
                assert sum(map(len, library._own.values())) == library._own_octets <= 400


def test_the_levels_told_of_uploads_lie_around_that_of_the_house():
    assert sounds.QUIET_DBFS < SPEECH_DBFS < sounds.LOUD_DBFS
