"""The product: a pure exchange, and the shell that runs it.

core/        decides: machines, routing, admission, statistics; knows no SIP, no media, no clock
switch/      carries out what the core decides, through `sip` and `media`; tells it what happened
exchange     one tenant while it runs: engine, journal, live stream, CDR feed around one inbox
runtime      the voice service of a process: SIP endpoint, media plane, switch, an exchange per tenant
service      what it and the platform say to each other: typed messages
client serving platform   who asks, who answers, and the questions in the other direction
bus/         how messages travel, within a process or out of it
refusals     errors as values, and back
sink minting where a tenant's records go, as a protocol; ids of conversations
door         an input as the journal will read it, before anything is decided on it
journal      append-only, group-committed, recovered
cdr_feed     journal events -> facts -> CDR -> charge -> sink
cdr_queue    what of it lingers or waits to be saved, and when it is tried again
directory    who is who in all tenants: devices, trunks, numbers
guard        who may guess a password how often, and who is not heard at all
call_log     three lines a call, from the journal
wire_text    what strangers write, bounded and without what nobody can see
networks     which addresses a setting or a message may send us to
data_modes   the data directory is its owner's alone
config clock numbers errors logs strangers diagrams
"""
