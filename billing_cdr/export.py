"""Records and charges as CSV (RFC 4180) and as JSON lines, for spreadsheets and for other machines.

The rules of a cell:
1. A control character or a line end becomes U+FFFD: a row is a line, whatever a caller is called; JSON keeps it as it was sent.
2. What a spreadsheet would take for a formula, beginning with `=`, `+`, `-`, `@` or their full-width twins, gets an apostrophe in front
   (CWE-1236), and so does what begins with an apostrophe: reading takes exactly one away again.
3. A plain E.164 number, `+` and at most fifteen digits, stays as it is: it is no formula.
4. Quotes are as RFC 4180 has them. Columns are only ever added at the end.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from billing_cdr.cdr import Cdr
from billing_cdr.charge import Charge
from billing_cdr.invoice import Invoice, InvoiceLine, Owed, VatTotal
from billing_cdr.money import finished, plain

CDR_COLUMNS: Final = (
    "id",
    "tenant",
    "direction",
    "calling",
    "called",
    "did",
    "trunk",
    "queue",
    "agent",
    "language",
    "began_at",
    "answered_at",
    "ended_at",
    "duration_ms",
    "ring_ms",
    "queue_ms",
    "talk_ms",
    "hold_ms",
    "outcome",
    "cause",
    "disposition",
    "legs",
    "recordings",
    "wait_ms",
    "treatment_ms",
    "setup_ms",
    "ended_by",
    "transferred_by",
    "wrap_ms",
)
CHARGE_COLUMNS: Final = (
    "cdr",
    "tenant",
    "status",
    "leg",
    "kind",
    "payer",
    "number",
    "destination",
    "prefix",
    "plan",
    "plan_version",
    "fingerprint",
    "answered_at",
    "duration_ms",
    "increment",
    "units",
    "currency",
    "vat_rate",
    "vat_included",
    "net",
    "vat",
    "gross",
    "refusal",
    "precision",
    "rounding",
    "number_class",
    "promised",
    "free_ms",
    "cut_ms",
    "setup",
    "minimum",
    "cap",
    "zone",
    "steps",
)
"""All that a line of a charge follows from: the amount can be worked out from its row. `steps` is JSON, as in the JSON lines."""
INVOICE_COLUMNS: Final = (
    "row",
    "payer",
    "month",
    "destination",
    "plan",
    "plan_version",
    "currency",
    "vat_rate",
    "vat_included",
    "calls",
    "duration_ms",
    "amount",
    "net",
    "vat",
    "gross",
)
"""`row` says what a row is: a `line`, the `vat` of one rate, or the `sum` of one currency."""
_FINISHED: Final = ("net", "vat", "gross")
"""Amounts that have as many decimals as they were finished to."""
_FORMULA: Final = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
_UNFIT: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""Controls, C0 and C1, and what else some reader takes for the end of a line."""
_E164: Final = re.compile(r"\+[0-9]{1,15}")


def cdrs_to_csv(cdrs: Iterable[Cdr]) -> Iterator[str]:
    """Write records as CSV, a line at a time, the header first."""
    yield _row(CDR_COLUMNS)
    for cdr in cdrs:
        values = {
            **{name: getattr(cdr, name) for name in CDR_COLUMNS},
            "legs": len(cdr.legs),
            "recordings": " ".join(recording.path for recording in cdr.recordings),
            "transferred_by": " ".join(cdr.transferred_by),
        }
        yield _row(_text(values[name]) for name in CDR_COLUMNS)


def charges_to_csv(charges: Iterable[Charge], language: str = "en") -> Iterator[str]:
    """Write charges as CSV, a row a line of the charge, the header first."""
    yield _row(CHARGE_COLUMNS)
    for charge in charges:
        for line in charge.lines:
            values = {
                **{name: getattr(line, name) for name in CHARGE_COLUMNS if hasattr(line, name)},
                "cdr": charge.cdr,
                "tenant": charge.tenant,
                "status": charge.status,
                **{name: finished(getattr(line, name)) for name in _FINISHED},
                "destination": line.destination_de if language == "de" else line.destination_en,
                "units": sum(step.units for step in line.steps),
                "steps": msgspec.json.encode(line.steps).decode() if line.steps else "",
            }
            yield _row(_text(values[name]) for name in CHARGE_COLUMNS)


def invoice_to_csv(bill: Invoice, language: str = "en") -> Iterator[str]:
    """Write a payer's month as CSV: the header, its lines, its totals by VAT rate, its sums by currency."""
    yield _row(INVOICE_COLUMNS)
    whose = {"payer": bill.tenant, "month": bill.month}
    for line in bill.lines:
        destination = line.destination_de if language == "de" else line.destination_en
        yield _cells(line, whose | {"row": "line", "destination": destination})
    for total in bill.totals:
        yield _cells(total, whose | {"row": "vat"})
    for owed in bill.sums:
        yield _cells(owed, whose | {"row": "sum"})


def _cells(of: InvoiceLine | VatTotal | Owed, said: dict[str, str]) -> str:
    return _row(_text(said.get(name, getattr(of, name, None))) for name in INVOICE_COLUMNS)


def to_json_lines(things: Iterable[Cdr | Charge]) -> Iterator[bytes]:
    """Write records or charges whole, one JSON object a line."""
    for thing in things:
        yield msgspec.json.encode(thing) + b"\n"


def cdrs_from_json_lines(lines: Iterable[bytes]) -> Iterator[Cdr]:
    """Read records that `to_json_lines` wrote."""
    decoder = msgspec.json.Decoder(Cdr)
    return (decoder.decode(line) for line in lines)


def charges_from_json_lines(lines: Iterable[bytes]) -> Iterator[Charge]:
    """Read charges that `to_json_lines` wrote."""
    decoder = msgspec.json.Decoder(Charge)
    return (decoder.decode(line) for line in lines)


def read_csv(text: str) -> list[dict[str, str]]:
    """Read CSV of ours: one dictionary a row, cells as they were before they were guarded, but for what nobody could see."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(rows)
    return [{name: unguarded(cell) for name, cell in zip(header, row, strict=True)} for row in rows]


def guarded(cell: str) -> str:
    """Make a cell harmless to a spreadsheet and to whoever reads line by line."""
    cell = _UNFIT.sub("\ufffd", cell)
    return f"'{cell}" if cell.startswith(_FORMULA) and not _E164.fullmatch(cell) else cell


def unguarded(cell: str) -> str:
    """Give back what `guarded` was given, but for what nobody could see."""
    return cell.removeprefix("'")


def _row(cells: Iterable[str]) -> str:
    line = io.StringIO(newline="")
    csv.writer(line, lineterminator="\r\n").writerow([guarded(cell) for cell in cells])
    return line.getvalue()


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case Decimal():
            return plain(value)
        case _:
            return str(value)
