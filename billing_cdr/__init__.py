"""Records, prices and invoices of conversations; knows nothing of SIP, media or the exchange.

facts.py        what the exchange reports of a conversation (the input)
assemble.py     facts fold into a record, closed only if everything adds up
cdr.py          the record: legs, segments, recordings, durations
recorded.py     what was recorded of it, when, and who is on which channel
quote.py        the price before the call, in numbers and in a sentence; the refusal
numbers.py      what people and carriers write for a number, read once for all
destination.py  what a dialled number is
tariff.py       plans, their document and the limits of the law; house.py the one we ship
time_band.py    which part of the week an instant lies in
increment.py    started units
rating.py       quote(number, plan, at), rate(cdr, plans) -> charge
book.py         plan documents read into the book that is rated by
prepaid.py      the same price in steps
charge.py       the price with its proof: explain, recompute
invoice.py      a payer's month: its sum and its invoice, one function
export.py       CSV and JSON lines
money.py        exact amounts, precision and rounding; instant.py whole milliseconds
store.py        the tables (shell); columns.py their types; recordings.py the list of recordings; sink.py where the exchange saves
outage.py       is a database away, or is the fault ours
errors.py       the tree of errors
"""

from billing_cdr.assemble import Assembler, fold
from billing_cdr.cdr import Cdr, CdrLeg, Segment
from billing_cdr.charge import Charge, Line, explain, recompute
from billing_cdr.errors import BillingError, LedgerError, NumberError, StoreConflict, TariffError, UnratedError
from billing_cdr.house_plan import house_plan
from billing_cdr.money import Money
from billing_cdr.quote import Quote, Refusal, tell
from billing_cdr.rating import PlanBook, quote, rate
from billing_cdr.tariff import Plan, Rate, parse_json, parse_toml

__all__ = [
    "Assembler",
    "BillingError",
    "Cdr",
    "CdrLeg",
    "Charge",
    "LedgerError",
    "Line",
    "Money",
    "NumberError",
    "Plan",
    "PlanBook",
    "Quote",
    "Rate",
    "Refusal",
    "Segment",
    "StoreConflict",
    "TariffError",
    "UnratedError",
    "explain",
    "fold",
    "house_plan",
    "parse_json",
    "parse_toml",
    "quote",
    "rate",
    "recompute",
    "tell",
]
