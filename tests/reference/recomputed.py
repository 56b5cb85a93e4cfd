"""A day of calls recomputed: what the service says of it, by its own export, and by the book that was kept at the phones.

From the export everything follows to the millisecond and the cent: the board, the charges, the month, the invoice. By the book, whose clock
is that of the phones, the figures of each conversation agree as far as a phone can know them, and `TOLERANCE_MS`.
"""

from __future__ import annotations

import datetime as dt
import statistics
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from load.day import TARIFF, Said
from load.day_calls import TENANT
from load.wire_book import Book, Page
from tests.reference import ledger, rater

BERLIN = ZoneInfo("Europe/Berlin")
TOLERANCE_MS = 150
"""Between the instant at which the service takes a message from the wire and the one at which a phone has sent or seen it: a turn of two
event loops and a write to the disk, on a machine that does other things too."""
PARTS = ("talk_ms", "hold_ms", "ring_ms", "wait_ms", "treatment_ms", "setup_ms")
FIGURES = (*PARTS, "duration_ms", "queue_ms")
CELLS = (*FIGURES, "wrap_ms")
CLASSES = {"4915": "mobile", "4917": "mobile", "4932": "national", "49800": "freephone"}
PLAN = rater.load_plan(tomllib.loads(TARIFF))
NAMES = {row["prefix"]: row["name"] for row in tomllib.loads(TARIFF)["rate"]}


class Agreement(msgspec.Struct, kw_only=True):
    """What was compared, and what did not agree."""

    compared: Counter[str] = Counter()
    wrong: list[str] = []
    off_ms: list[float] = []
    """How far each figure of the book lay from the record's."""

    def same(self, what: str, said: object, known: object, where: str = "") -> None:
        """Two values that must be one."""
        self.compared[what] += 1
        if said != known:
            self.wrong.append(f"{what} {where}: the service says {said!r}, it is {known!r}")

    def near(self, what: str, said: float, known: float, by: float, where: str = "") -> None:
        """Two lengths that may differ by so much."""
        self.compared[what] += 1
        if abs(said - known) > by:
            self.wrong.append(f"{what} {where}: the service says {said:.1f}, it is {known:.1f}, known to {by:.1f}")

    def summary(self) -> str:
        """In a few lines, for whoever ran it."""
        lines = [f"{count:7} {what}" for what, count in sorted(self.compared.items())]
        if self.off_ms:
            mean, most = statistics.mean(self.off_ms), max(self.off_ms)
            lines.append(f"figures by the phones' clock: {mean:.1f} ms off on average, {most:.0f} ms at most")
        return "\n".join([*lines, f"{len(self.wrong)} do not agree", *self.wrong])


def ms(text: str) -> int:
    """Epoch milliseconds of an instant of the export."""
    return (dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def compared(book: Book, said: Said) -> Agreement:
    """Everything against everything."""
    agreement = Agreement()
    _against_the_book(agreement, book, said)
    for cdr in said.records:
        _record_closes(agreement, cdr)
    _csv(agreement, said)
    _board(agreement, book, said)
    _charges(agreement, said)
    for month in said.months:
        _month(agreement, said, month)
    return agreement


# ---------------------------------------------------------------------- the book of the phones


def _against_the_book(agreement: Agreement, book: Book, said: Said) -> None:
    by_call_id = {leg["sip_call_id"]: cdr for cdr in said.records for leg in cdr["legs"]}
    agreement.same("number of records", len(said.records), len(book.pages))
    for page in book.pages:
        found = {by_call_id[call_id]["id"] for call_id in page.legs if call_id in by_call_id}
        agreement.same("one record a conversation", len(found), 1, page.kind)
        if len(found) == 1:
            _page(agreement, page, by_call_id[next(iter(page.legs))])


def _page(agreement: Agreement, page: Page, cdr: dict[str, Any]) -> None:
    where = f"{page.kind} ({cdr['id']})"
    known = ledger.fold(page.events)
    for name in FIGURES:
        agreement.off_ms.append(abs(cdr[name] - known[name]))
        agreement.near("figures of conversations", cdr[name], known[name], page.unsure_ms + TOLERANCE_MS, f"{name} of {where}")
    for name, value in page.says.items():
        agreement.same("words of records", cdr[name], value, f"{name} of {where}")
    agreement.same("answered", cdr["answered_at"] is not None, known["answered_at"] is not None, where)
    legs = {leg["sip_call_id"]: leg for leg in cdr["legs"]}
    for wrap in page.wraps:
        told = _wrap(cdr, legs[wrap.leg]["leg"])
        agreement.near("wrap-ups", told, wrap.ms, wrap.unsure_ms + TOLERANCE_MS, f"{wrap.leg} of {where}")
    agreement.same("wrap-ups", sum(one["kind"] == "wrap" for one in cdr["segments"]), len(page.wraps), where)
    agreement.same("legs by Call-ID", sorted(legs), sorted(page.legs), where)
    for call_id, leg in page.legs.items():
        if call_id not in legs:
            continue
        told = legs[call_id]
        number = told["number"] if leg.number is not None else None
        agreement.same("legs", (told["role"], told["agent"], number), (leg.role, leg.agent, leg.number), f"{call_id} of {where}")
        agreement.same("legs answered", told["answered_at"] is not None, call_id in page.answered, f"{call_id} of {where}")
        lasted = known["legs"][call_id]["billable_ms"]
        agreement.near("time to be paid", told["billable_ms"], lasted, page.unsure_ms + TOLERANCE_MS, f"{call_id} of {where}")


# ---------------------------------------------------------------------- the export


def _record_closes(agreement: Agreement, cdr: dict[str, Any]) -> None:
    """The parts add up to the whole, the segments of each leg to the leg, and both sides talk and hold alike."""
    agreement.same("parts add up", sum(cdr[name] for name in PARTS), cdr["duration_ms"], cdr["id"])
    agreement.same("wrap-up adds up", sum(_wrap(cdr, leg["leg"]) for leg in cdr["legs"]), cdr["wrap_ms"], cdr["id"])
    agreement.same("without problems", cdr["problems"], [], cdr["id"])
    by_leg = defaultdict(list)
    for one in cdr["segments"]:
        by_leg[one["leg"]].append(one)
    for leg in cdr["legs"]:
        length = sum(one["duration_ms"] for one in by_leg[leg["leg"]] if one["kind"] != "wrap")
        agreement.same("segments of a leg", length, ms(leg["ended_at"]) - ms(leg["began_at"]), leg["leg"])
    for kind in ("talk", "hold"):
        length = sum(one["duration_ms"] for one in cdr["segments"] if one["kind"] == kind)
        agreement.same("both sides alike", length, 2 * cdr[f"{kind}_ms"], f"{kind} of {cdr['id']}")


def _csv(agreement: Agreement, said: Said) -> None:
    lines = said.records_csv.split("\r\n")
    names = lines[0].split(",")
    agreement.same("rows of the CSV", len(lines) - 2, len(said.records))
    for line, cdr in zip(lines[1:], said.records, strict=False):
        row = dict(zip(names, line.split(","), strict=False))
        for name in CELLS:
            agreement.same("cells of the CSV", row.get(name), str(cdr[name]), f"{name} of {cdr['id']}")


def _board(agreement: Agreement, book: Book, said: Said) -> None:
    """Queues and people, by the export to the count and the second, by the book to the count."""
    stays = Counter((one["party"], one["outcome"]) for cdr in said.records for one in cdr["segments"] if one["kind"] == "queue")
    known = Counter(stay for page in book.pages for stay in page.queues)
    agreement.same("stays in queues", stays, known)
    for line in said.board["queues"]:
        told = (line["offered_today"], line["answered_today"], line["abandoned_today"], line["overflowed_today"])
        mine = [known[line["id"], outcome] for outcome in ("answered", "abandoned", "overflowed")]
        agreement.same("queues of the board", told, (sum(mine), *mine), line["id"])
        waited = [
            one["duration_ms"]
            for cdr in said.records
            for one in cdr["segments"]
            if (one["party"], one["outcome"]) == (line["id"], "answered")
        ]
        if waited:
            agreement.near("mean wait", line["average_speed_of_answer_s"], statistics.mean(waited) / 1000, 0.002, line["id"])
        handled = [sum(lengths) for lengths in _handled(said, line["id"])]
        if handled:
            agreement.near("mean handling time", line["average_handle_time_s"], statistics.mean(handled) / 1000, 0.005, line["id"])
    taken = Counter(agent for page in book.pages for agent in page.taken_by)
    for one in said.board["agents"]:
        agreement.same("calls that people took", one["answered_today"], taken[one["id"]], one["id"])
        busy = [_length(leg) + _wrap(cdr, leg["leg"]) for cdr in said.records for leg in cdr["legs"] if leg["agent"] == one["id"]]
        agreement.near("people's time", one["busy_today_s"], sum(busy) / 1000, 0.002 * (len(busy) + 1), one["id"])
    agreement.same("calls that still live", said.board["calls"], [])


def _length(leg: dict[str, Any]) -> int:
    return ms(leg["ended_at"]) - ms(leg["began_at"])


def _wrap(cdr: dict[str, Any], leg: str) -> int:
    return sum(one["duration_ms"] for one in cdr["segments"] if (one["leg"], one["kind"]) == (leg, "wrap"))


def _handled(said: Said, queue: str) -> Iterator[tuple[int, int, int]]:
    """Talk, hold and wrap-up of each contact of a queue at each agent."""
    for cdr in said.records:
        offered = {one["leg"] for one in cdr["segments"] if (one["kind"], one["caused_by"]) == ("offer", f"queue:{queue}")}
        for leg in offered:
            length = {
                kind: sum(one["duration_ms"] for one in cdr["segments"] if (one["leg"], one["kind"]) == (leg, kind))
                for kind in ("talk", "hold")
            }
            if any((one["leg"], one["kind"]) in {(leg, "talk"), (leg, "hold")} for one in cdr["segments"]):
                yield length["talk"], length["hold"], _wrap(cdr, leg)


# ---------------------------------------------------------------------- money


def _class_of(number: str) -> str:
    return next((kind for prefix, kind in CLASSES.items() if number.removeprefix("+").startswith(prefix)), "geographic")


def costs_of(said: Said) -> Iterator[dict[str, Any]]:
    """Each leg that costs something, with its price (docs/figures.md §9), in the words of the reference's month."""
    for cdr in said.records:
        for leg in cdr["legs"]:
            if leg["role"] == "caller" or leg["internal"] or leg["trunk"] is None or leg["answered_at"] is None:
                continue
            rate = rater.match(PLAN, leg["number"].removeprefix("+"), _class_of(leg["number"]))
            assert rate is not None, leg["number"]
            if rate.free:
                continue
            net, vat, gross = rater.price(PLAN, rate, ms(leg["answered_at"]), leg["billable_ms"])
            name = NAMES[rate.prefix]
            yield {
                "payer": TENANT,
                "conversation": cdr["id"],
                "leg": leg["leg"],
                "month": dt.datetime.fromisoformat(cdr["began_at"]).astimezone(BERLIN).strftime("%Y-%m"),
                "destination": (name["de"], name["en"]),
                "plan": PLAN.id,
                "version": PLAN.version,
                "vat_rate": rate.vat_rate,
                "vat_included": rate.vat_included,
                "amount": gross if rate.vat_included else net,
                "duration_ms": leg["billable_ms"],
                "price": (net, vat, gross),
            }


def money(row: Mapping[str, Any]) -> tuple[Decimal, Decimal, Decimal]:
    """Net, VAT and gross of whatever has them."""
    return Decimal(str(row["net"])), Decimal(str(row["vat"])), Decimal(str(row["gross"]))


def _charges(agreement: Agreement, said: Said) -> None:
    """Each line of each charge."""
    known = {one["leg"]: one["price"] for one in costs_of(said)}
    agreement.same("charges", len(said.charges), len(said.records))
    for charge in said.charges:
        agreement.same("charges rated", charge["status"], "rated", charge["cdr"])
        for line in charge["lines"]:
            agreement.same("lines of charges", money(line), known.get(line["leg"], (0, 0, 0)), line["leg"])


def _month(agreement: Agreement, said: Said, month: str) -> None:
    """Month sum and invoice, line by line and as a whole."""
    calls = [one for one in costs_of(said) if one["month"] == month]
    told, bill, told_month = rater.month_sum(calls, TENANT), said.invoices[month], said.months[month]
    lines = [
        ((one["destination_de"], one["destination_en"]), one["calls"], one["duration_ms"], Decimal(one["amount"])) for one in bill["lines"]
    ]
    mine = [(one["destination"], one["calls"], one["duration_ms"], one["amount"]) for one in told["lines"]]
    agreement.same("lines of the invoice", sorted(lines), sorted(mine), month)
    whole = tuple(told["whole"][name] for name in ("net", "vat", "gross"))
    for of in (bill, told_month):
        sums = [money(one) for one in of["sums"]]
        agreement.same("sums of month and invoice", [sum(column) for column in zip(*sums, strict=True)] or [0, 0, 0], list(whole), month)
        vat = sum((money(one)[1] for one in of["by_vat_rate"]), Decimal(0))
        agreement.same("VAT of month and invoice", vat, whole[1], month)
        here = [cdr for cdr in said.records if dt.datetime.fromisoformat(cdr["began_at"]).astimezone(BERLIN).strftime("%Y-%m") == month]
        agreement.same("conversations of month and invoice", of["calls"], len(here), month)


def unchanged(before: Said, after: Said) -> list[str]:
    """What a restart must not change, and did: counts and figures of the board, and everything that is written down."""

    def kept(said: Said) -> dict[str, Any]:
        lines = [{name: value for name, value in one.items() if not name.endswith("_s")} for one in said.board["queues"]]
        people = [{name: one[name] for name in ("id", "state", "answered_today", "busy_today_s")} for one in said.board["agents"]]
        return {"queues": lines, "agents": people} | {name: getattr(said, name) for name in Said.__struct_fields__ if name != "board"}

    was, is_now = kept(before), kept(after)
    return [name for name, value in was.items() if is_now[name] != value]
