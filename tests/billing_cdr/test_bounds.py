"""Documents that cost more to read than a plan is worth are refused before they are read."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing_cdr import tariff
from billing_cdr.bounds import (
    _TOKEN,
    MAX_DEPTH,
    MAX_KEY_PARTS,
    MAX_LINE_LETTERS,
    MAX_LINES,
    MAX_MARKS,
    MAX_VALUES,
    check_document,
    check_toml,
)
from billing_cdr.errors import TariffError
from billing_cdr.house_plan import house_plan_document
from billing_cdr.tariff import parse_json, read_toml


def dotted(parts: int) -> str:
    return ".".join(["a"] * parts)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (dotted(450_000) + "=1", "line 1"),
        (f"x = 1\n{dotted(MAX_KEY_PARTS + 1)} = 1", "line 2"),
        (f"[{dotted(MAX_KEY_PARTS + 1)}]", "line 1"),
        (f"a = {{ {dotted(MAX_KEY_PARTS + 1)} = 1 }}", "line 1"),
        ('"a" . ' * MAX_KEY_PARTS + "a = 1", "line 1"),
        ('"""' + "\n" + '"""' + dotted(MAX_KEY_PARTS + 1), "line 2"),
        ("a = " + "[" * (MAX_DEPTH + 1), "line 1"),
        ("a = [\n" * (MAX_DEPTH + 1), f"line {MAX_DEPTH + 1}"),
        ("\na = " + "{ a = " * (MAX_DEPTH + 1), "line 2"),
        ("# " + "x" * MAX_LINE_LETTERS, "line 1"),
        ("\n" * MAX_LINES, f"line {MAX_LINES + 1}"),
        ("a = [\n" + ("1," * 4000 + "\n") * 51 + "]", f"line {MAX_MARKS // 4000 + 1}"),
    ],
)
def test_toml_beyond_the_bounds_is_refused_at_its_line_and_never_parsed(monkeypatch: pytest.MonkeyPatch, text: str, place: str) -> None:
    monkeypatch.setattr(tariff, "tomllib", None)
    with pytest.raises(TariffError) as refused:
        read_toml(text)
    assert refused.value.place == place


@pytest.mark.parametrize(
    "text",
    [
        house_plan_document(),
        f"{dotted(MAX_KEY_PARTS)} = 1",
        f'a = "{dotted(1000)}{"[" * 100}"',
        f"a = '{dotted(1000)}' # {dotted(1000)}",
        f'a = """\n{"[" * 100}\n"" \\""" {dotted(100)} """""',
        f"a = '''\n{'[' * 100}\n'' {dotted(100)}'''",
        "a = [" + "1.5, " * 100 + "]",
        "\n".join(f"[[a]]\nb = {n}.5" for n in range(100)),
        "a = " + "[" * 40 + "]" * 40,
    ],
)
def test_what_stands_in_texts_and_comments_counts_for_nothing(text: str) -> None:
    assert read_toml(text) == tomllib.loads(text, parse_float=tariff.Decimal)


@given(st.text(alphabet="\"'\\\n#a.[]{}=,", max_size=60))
def test_every_text_has_an_end_so_that_nothing_is_looked_at_twice(text: str) -> None:
    """Where a quotation mark opens, a text begins: one that matched nothing would be tried anew from every mark within it."""
    last = 0
    for found in _TOKEN.finditer(text):
        assert not set(text[last : found.start()]) & set("\"'#.[]{}=,\n") - {"#"}
        last = found.end()


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"rate": [0] * MAX_VALUES}, "rate"),
        ({str(n): n for n in range(MAX_VALUES + 1)}, ""),
        ({"rate": [{"a": 1, "b": 2} for _ in range(MAX_VALUES // 3 + 1)]}, "rate"),
    ],
)
def test_values_of_a_document_are_counted(document: dict[str, Any], place: str) -> None:
    with pytest.raises(TariffError, match="keys and items") as refused:
        check_document(document)
    assert refused.value.place == place


def test_document_is_as_deep_as_it_may_be() -> None:
    def deep(levels: int) -> Any:
        value: Any = 1
        for _ in range(levels):
            value = [value]
        return value

    check_document({"a": deep(MAX_DEPTH - 1)})
    for levels in (MAX_DEPTH, 100_000):
        with pytest.raises(TariffError, match="within each other") as refused:
            check_document({"a": deep(levels)})
        assert refused.value.place == "a"


def test_json_that_is_too_deep_is_no_fault_of_ours() -> None:
    with pytest.raises(TariffError, match="not a JSON document"):
        parse_json('{"a": ' + "[" * 100_000)


def test_check_alone_takes_the_house_plan() -> None:
    check_toml(house_plan_document())
