"""The product: a pure exchange, and the shell that runs it.

core/        decides: machines, routing, admission, statistics; knows no SIP, no media, no clock
switch/      carries out what the core decides, through `sip` and `media`; tells it what happened
exchange     one tenant while it runs: engine, journal, live stream, CDR feed around one inbox
runtime      the voice service of a process: SIP endpoint, media plane, switch, an exchange per tenant
service      what the API sees of it
door         an input as the journal will read it, before anything is decided on it
journal      append-only, group-committed, recovered
cdr_feed     journal events -> facts -> CDR -> charge -> database
directory    who is who in all tenants: devices, trunks, numbers
guard        who may guess a password how often, and who is not heard at all
call_log     three lines a call, from the journal
wire_text    what strangers write, bounded and without what nobody can see
networks     which addresses a setting or a message may send us to
data_modes   the data directory is its owner's alone
config clock numbers errors logs strangers diagrams
"""
