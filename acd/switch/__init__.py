"""Carries out the core's effects: a back-to-back user agent with its media (RFC 7092 §3.1).

switch       one method an effect, one a SIP event, one a media report
legs         what is held of one party
relocation   legs whose media worker ended, to another one
media_plan   SDP <-> stream parameters
channel_costs what a speech channel takes of its line, as the core is told
screen_pop   when a desk is told who it is, and its phone may ring
screens      who is calling is asked, desks are told, phones ring
phones       registrations, digest, whose device it is, over a restart
lines        trunks: registration at a carrier, probes, up or down
shares       which share of the common resources a call takes from
port_shares  who may have RTP port pairs
callers      which trunk a call came over, and which number it means
identities   who calls and whom a URI means, of every header that says so
causes       SIP statuses <-> the core's causes
addresses    which of our addresses a peer sees
sip_port     commands of the SIP engine with the time filled in
"""
