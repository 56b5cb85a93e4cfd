"""The corpus of written numbers (`vectors/numbers/spellings.toml`), for every test that reads numbers."""

import tomllib
from pathlib import Path

_TABLE = tomllib.loads((Path(__file__).parent / "vectors" / "numbers" / "spellings.toml").read_text(encoding="utf-8"))
SPELLINGS: list[tuple[str, str]] = [(written, number) for group in _TABLE.values() for written, number in group["spellings"]]
"""What is written, and the number; "" for what is refused."""
READABLE = [(written, number) for written, number in SPELLINGS if number]
SOURCES = {name: group["source"] for name, group in _TABLE.items()}
