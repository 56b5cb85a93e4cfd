"""What each figure of /metrics says (Prometheus `# HELP`): what is counted, its unit, when it rises, and whether it should."""

from __future__ import annotations

HELP = {
    # calls and CDRs
    "fernamt_calls_admitted_total": "New calls of a tenant that were let in.",
    "fernamt_calls_refused_total": (
        "New calls of a tenant answered 503, by what was used up: share (others had the rest), rate (all calls a second), ceiling (live "
        "sessions), ports (RTP)."
    ),
    "fernamt_calls_unrecorded_total": (
        "Calls to numbers that do not exist, answered 404 without a record because there were too many of them."
    ),
    "fernamt_calls_urgent_total": "Emergency calls of a tenant that were let in without asking for a share.",
    "fernamt_requests_refused_total": (
        "SIP requests other than INVITE of a tenant's trunks and phones (REGISTER, OPTIONS) refused: too many."
    ),
    "fernamt_strangers_refused_total": "SIP requests of senders nobody knows that were not served because there were too many of them.",
    "fernamt_phones_unreachable": "Registered contacts that answer nothing at this moment; they are not rung.",
    "fernamt_phone_probes_total": "OPTIONS sent to registered phones.",
    "fernamt_line_check_streams": "Streams of line checks that are up at this moment.",
    "fernamt_switch_line_checks_total": "Line checks that pages have begun.",
    "fernamt_switch_line_checks_failed_total": "Line checks that did not come to their end: a page that left, streams that never came up.",
    "fernamt_pages": "Browsers' pages that are registered as phones.",
    "fernamt_pages_silent": "Of these, those whose code does not answer.",
    "fernamt_lost_pages_total": (
        "Pages of agents that died in a conversation (`lost`), by tenant; that were there again by themselves (`back`), whose agents took "
        "the call back (`taken_back`), whose callers came back first in the queue (`requeued`) or went where unanswered calls go "
        "(`given_up`)."
    ),
    "fernamt_page_pings_total": "OPTIONS sent to pages from time to time.",
    "fernamt_page_questions_total": "Pages asked whether they are there before a call is offered to them.",
    "fernamt_page_questions_unanswered_total": "Of these, without an answer in time: the call goes to the next agent.",
    "fernamt_switch_lines_poor_in_calls_total": "Times that a page in a call was heard badly for five seconds.",
    "fernamt_legs": "Parties of calls that are up, ringing or being set up at this moment; a connected call has two.",
    "fernamt_cdrs_total": "CDRs made since the start.",
    "fernamt_cdrs_waiting": "CDRs that are not in the database yet; rises while it is away.",
    "fernamt_cdrs_refused_total": (
        "CDRs that the database refused for what is in them; each is in the log and is tried again at the next start. Should stay 0."
    ),
    "fernamt_cdr_save_failures_total": "Attempts to save CDRs that failed and are made again; rises while a database is away.",
    "fernamt_cdr_feed_stumbles_total": (
        "Events or facts of the journal of which no CDR or price could be made; the log says which. Should stay 0."
    ),
    # contacts
    "fernamt_contacts_opened_total": "Contacts of a tenant that began since the start, by channel: calls of all directions, messages, ...",
    "fernamt_contacts_closed_total": "Contacts of a tenant that were over since the start, by channel; opened less closed are open.",
    "fernamt_contacts_waiting": "Contacts in a tenant's queues at this moment, by channel; those that are being offered, too.",
    # conversations
    "fernamt_conversations_total": (
        "Conversations of a tenant since the start that are not of two parties alone, by kind: consultation (somebody was asked, whether "
        "there was an answer or not), conference (made of a consultation), supervision (a supervisor's phone was rung to hear one)."
    ),
    # lines
    "fernamt_channels_by_plan_total": (
        "Speech channels of a tenant since the start that did not fit into the upload of their site or trunk as usual, by the step of its "
        "plan that they went by: longer_ptime, opus, refuse (docs/operating.md)."
    ),
    "fernamt_switch_channels_adjusted_total": (
        "Speech channels that came to take something else of their line than was reserved: by the answer, or by a change in the call."
    ),
    # journal
    "fernamt_journal_entries_total": "Entries written to a tenant's journal.",
    "fernamt_journal_commits_total": "Groups of entries made durable with one fsync; entries by commits is how many share one.",
    # shares of ports
    "fernamt_port_pairs_used": "RTP port pairs that a tenant's calls hold, two a call, and 2.5 s longer than the call.",
    "fernamt_port_pairs_guaranteed": "RTP port pairs that are promised to a tenant whether it calls or not.",
    "fernamt_port_pairs_borrowed": "RTP port pairs that a tenant holds beyond what is promised to it.",
    "fernamt_emergency_port_pairs": "RTP port pairs that are kept for emergency calls.",
    "fernamt_emergency_port_pairs_used": "RTP port pairs kept for emergency calls that are in use.",
    # the switch
    "fernamt_spending_reserved": "What calls over carriers have cost in the last hour, with what running ones have reserved; gross.",
    "fernamt_spending_limit": "What they may cost in an hour.",
    "fernamt_prepaid_left": "What a prepaid tenant has left.",
    "fernamt_switch_legs_latched_total": (
        "Audio streams that were found to come from another address than their description said, and followed there."
    ),
    "fernamt_switch_browsers_connected_total": "Browsers that proved to be who they said, or were there again: audio flows.",
    "fernamt_switch_browsers_suspect_total": "Browsers of which nothing came for 8 s.",
    "fernamt_switch_browsers_gone_total": "Browsers of which nothing came for 30 s.",
    "fernamt_switch_browsers_closed_total": "Browsers that ended their audio themselves: the page was left or reloaded.",
    "fernamt_switch_browsers_failed_total": "Browsers that were not who they said, or with whom no keys could be agreed on.",
    "fernamt_switch_legs_unheard_total": "Legs from which nothing had come five seconds after somebody began to listen to them.",
    "fernamt_switch_silent_legs_asked_total": (
        "Parties of which neither RTP nor RTCP was heard for media.silence_s, and that were asked by SIP whether they are there."
    ),
    "fernamt_switch_digits_carried_total": "Keys of one party that were told to the other in another way than they came.",
    "fernamt_switch_digits_told_twice_total": "Keys that a party told of in more than one way: they counted once.",
    "fernamt_switch_pins_refused_total": "PINs keyed or dialled at phones (hot desk) that were wrong, or came after too many wrong ones.",
    "fernamt_switch_legs_moved_total": "Parties whose audio was moved to another media worker after theirs had ended.",
    "fernamt_switch_legs_move_failed_total": (
        "Parties whose audio could not be moved after their media worker had ended: they were cut or stay silent."
    ),
    "fernamt_switch_workers_lost_total": "Media workers that ended by themselves and were replaced. Should stay 0.",
    "fernamt_switch_transfers_by_phone_total": "Blind transfers that agents' phones asked for (REFER) and that were begun.",
    "fernamt_switch_transfers_by_phone_refused_total": (
        "REFERs that were refused: from carriers, attended, to no number, over budget; their calls went on."
    ),
    "fernamt_switch_media_refused_total": "Parties for whom no media worker had ports or answered.",
    "fernamt_switch_unknown_sounds_total": "Sounds that were asked for and not there: they were left out of what was played.",
    "fernamt_switch_unsupported_media_total": "Stream descriptions in which no codec of ours was offered or answered (488).",
    "fernamt_switch_lookups_failed_total": "Screen pops without what is known of the caller, since the database did not tell it.",
    "fernamt_switch_invites_to_nobodys_number_total": "Calls of trunks to numbers that none of the tenants behind that address has (404).",
    "fernamt_switch_invites_refused_without_journal_total": (
        "Calls answered 503 because their tenant is not open or its journal cannot be written."
    ),
    "fernamt_switch_dialogs_ended_after_restart_total": (
        "Parties of calls cut by a crash who were told at the next start that the call is over."
    ),
    "fernamt_switch_dialogs_ended_after_restart_failed_total": "Parties of calls cut by a crash who could not be told at the next start.",
    "fernamt_switch_legs_adopted_total": "Parties whose calls went on over a start of the service: their audio was never interrupted.",
    "fernamt_switch_legs_not_adopted_total": "Parties that media workers held at a start and that were over: their far ends were told.",
    "fernamt_repairs_total": (
        "Differences between exchange, switch and media workers that the watchdog has found and healed, by what they were. Should stay 0."
    ),
    "fernamt_switch_sip_events_failed_total": (
        "SIP messages that a defect of ours kept from being handled; the log has the trace. Should stay 0."
    ),
    "fernamt_switch_facts_refused_total": (
        "Facts that could not have been read from the journal again and were left out of it. Should stay 0."
    ),
    "fernamt_switch_calls_refused_for_budget_total": "Attempts that were not placed for want of budget or prepaid balance (603).",
    "fernamt_switch_calls_refused_for_class_total": "Attempts that were not placed since their class of numbers is not allowed (403).",
    "fernamt_switch_legs_answered_late_total": "Calls that a carrier answered when they had been taken back: they are charged.",
    "fernamt_switch_legs_heard_early_total": "Calls over trunks whose carrier was heard before it answered (183 with a description).",
    "fernamt_switch_phones_refused_to_answer_total": "Calls that a phone did not take although its desk asked it to (409).",
    "fernamt_switch_forks_answered_total": "Second answers to calls that forked at a carrier: let go, and not charged here.",
    "fernamt_switch_requests_denied_total": "SIP requests that were not sent because [reach] does not allow their address.",
    "fernamt_switch_audio_addresses_denied_total": (
        "Stream descriptions with an address that [reach] does not allow; nothing is sent there before packets come."
    ),
    "fernamt_switch_legs_sdes_total": "Parties whose audio was agreed on with keys in SDP (SRTP).",
    "fernamt_switch_legs_dtls_total": "Parties whose audio was agreed on with a handshake for its keys (DTLS-SRTP).",
    # SIP dialogs
    "fernamt_sip_requests_sent_anew_total": (
        "BYE, re-INVITE and INFO that a lost connection has failed and that were sent once more where the dialog says."
    ),
    "fernamt_sip_session_refreshes_refused_total": "Session refreshes (RFC 4028) of ours that a far end refused; they were tried again.",
    "fernamt_sip_sessions_kept_unrefreshed_total": (
        "Session intervals that ended without a refresh in calls that went on, since the far end had answered with a refusal."
    ),
    "fernamt_sip_refused_in_plain_total": "SIP requests of who must speak under encryption that came in plain (403; an ACK is left aside).",
    # SIP over TCP
    "fernamt_sip_tcp_connections": "Open SIP/TCP connections.",
    "fernamt_sip_tcp_strangers": "Open SIP/TCP connections on which nobody has proved who he is.",
    "fernamt_sip_tcp_known_displaced_total": (
        "Open SIP/TCP connections of registered phones or callers that made room for newer ones: their source had more than a thousand, or "
        "had most where all places were taken."
    ),
    "fernamt_sip_tcp_strangers_displaced_total": (
        "SIP/TCP connections of strangers that were closed to make room for newer ones of the same source."
    ),
    "fernamt_sip_put_aside_dropped_total": "SIP messages that came before a new process had taken up its calls: no room for them.",
    "fernamt_sip_put_aside_total": "SIP messages that came before a new process had taken up its calls; they were read afterwards.",
    "fernamt_sip_tcp_strangers_silent_total": "SIP/TCP connections of strangers that were closed because no whole message came in time.",
    "fernamt_sip_tcp_connections_refused_total": "SIP/TCP connections that were closed at once because there was no room for another one.",
    # SIP over TLS
    "fernamt_sip_tls_connections": "Open SIP/TLS connections, those in their handshake among them.",
    "fernamt_sip_tls_strangers": "Open SIP/TLS connections on which nobody has proved who he is.",
    "fernamt_sip_tls_known_displaced_total": (
        "Open SIP/TLS connections of registered phones or callers that made room for newer ones: their source had more than a thousand, or "
        "had most where all places were taken."
    ),
    "fernamt_sip_tls_strangers_displaced_total": (
        "SIP/TLS connections of strangers that were closed to make room for newer ones of the same source."
    ),
    "fernamt_sip_tls_strangers_silent_total": "SIP/TLS connections of strangers that were closed because no whole message came in time.",
    "fernamt_sip_tls_connections_refused_total": "SIP/TLS connections that were closed at once because there was no room for another one.",
    "fernamt_sip_tls_handshakes_total": "TLS handshakes that were done, both ways.",
    "fernamt_sip_tls_clients_proven_total": "TLS connections whose far end opened them and proved itself by a certificate.",
    "fernamt_sip_tls_handshake_failures_total": (
        "TLS handshakes that came to nothing, by reason: `timeout`, `closed` (the far end left), `not_tls`, `version`, `cipher` (none in "
        "common), `certificate` (one side does not accept the other's), `identity` (it is somebody else's), `other`."
    ),
    "fernamt_sip_tls_certificate_expires_timestamp_seconds": "Until when the certificate of SIP over TLS holds, in Unix seconds.",
    "fernamt_sip_tls_certificate_refused": (
        "1: the files hold a certificate that cannot be used, and the one before is in force; the log says why."
    ),
    "fernamt_sip_tls_certificate_reloads_total": "New certificates of SIP over TLS that were read while the service ran.",
    # SIP over WebSocket
    "fernamt_sip_websocket_connections": "Open WebSockets of phones in pages.",
    "fernamt_sip_websocket_connections_total": "WebSockets of phones in pages that were opened.",
    "fernamt_sip_websocket_connections_refused_total": (
        "WebSockets of phones in pages that were refused for want of room, or since they do not offer `sip`, after their user was known."
    ),
    "fernamt_sip_websocket_connections_cut_off_total": "WebSockets that were given up since their page did not read.",
    # HTTPS
    "fernamt_https_certificate_expires_timestamp_seconds": "Until when the certificate of HTTPS holds, in Unix seconds.",
    "fernamt_https_certificate_days_left": "Days until the certificate of HTTPS ends; negative: since. Below 10 somebody should look.",
    "fernamt_https_certificate_trusted": (
        "1: a client with the authorities of this system believes the certificate of HTTPS; browsers are told to stay with it."
    ),
    "fernamt_https_certificate_self_made": "1: the certificate of HTTPS is one of the service's own, and browsers warn of it.",
    "fernamt_https_certificate_refused": (
        "1: the files hold a certificate that cannot be used, and the one before is in force; the log says why."
    ),
    "fernamt_https_certificate_reloads_total": "New certificates of HTTPS that were taken while the service ran.",
    "fernamt_https_handshakes_total": "TLS handshakes of HTTPS that were done.",
    "fernamt_https_handshake_failures_total": (
        "TLS handshakes of HTTPS that came to nothing, by reason: `timeout`, `closed` (the far end left), `not_tls`, `version`, `cipher` "
        "(none in common), `certificate` (the client does not accept ours), `identity` (never here), `other`."
    ),
    "fernamt_acme_certificates_total": "Certificates that the authority has given since the start (ACME).",
    "fernamt_acme_failures_total": "Times that the authority was asked for a certificate and gave none (ACME).",
    "fernamt_acme_failing": "1: the authority gave no certificate when it was asked last; what is in force stays. /readyz says why.",
    "fernamt_acme_next_timestamp_seconds": "When the authority is asked for a certificate next, in Unix seconds.",
    # media workers
    "fernamt_media_legs": "Parties whose audio a media worker carries.",
    "fernamt_media_bridges": "Pairs of parties whose audio is relayed to each other, by media worker.",
    "fernamt_media_mixes": "Conversations that are mixed, not relayed: three parties and more, or one way; by media worker.",
    "fernamt_media_jitter_buffer_seconds": "Seconds that audio waits in jitter buffers now, on average over mixed parties.",
    "fernamt_media_jitter_buffer_max_seconds": "Seconds that audio waits in the fullest jitter buffer of a media worker now.",
    "fernamt_media_concealed_frames_total": "Packets of mixed parties that were made up because they were lost or late, by media worker.",
    "fernamt_media_recordings": "Recordings that are being written, by media worker.",
    "fernamt_media_ports_free": "RTP port pairs that a media worker has left.",
    "fernamt_media_packets_received_total": "RTP packets received, by media worker.",
    "fernamt_media_packets_sent_total": "RTP packets sent, by media worker.",
    "fernamt_media_packets_dropped_total": "RTP packets lost inside a media worker: full socket buffers and errors at sending.",
    "fernamt_media_packets_of_unknown_type_total": (
        "RTP packets dropped because their payload type was not agreed on; the log names the party and the type, once a party."
    ),
    "fernamt_media_packets_rejected_total": (
        "Packets dropped on encrypted legs because they were plain, under another key, changed on the way or seen before; the log names "
        "where they came from, once a leg."
    ),
    "fernamt_media_legs_protected": "Legs whose audio is encrypted now (SRTP), by media worker.",
    "fernamt_media_legs_opus": "Legs that speak Opus now, of which each costs several times what one of G.711 does; by media worker.",
    "fernamt_media_packets_of_noise_total": "Packets of comfort noise received (RFC 3389), where it was agreed on; by media worker.",
    "fernamt_media_late_ticks_total": "20 ms ticks of a media worker that began more than 5 ms late: the machine has too much to do.",
    "fernamt_media_cpu_seconds_total": "CPU time of a media worker, in seconds.",
    # HTTP
    "fernamt_http_requests_total": "HTTP requests answered, by method, route and status.",
    "fernamt_http_request_seconds": "Seconds from the head of an HTTP request to the end of its answer.",
    "fernamt_http_requests_refused_total": "HTTP requests refused before their body was read or a route was asked, by reason.",
    "fernamt_http_connections": "Open HTTP and WebSocket connections.",
    "fernamt_http_strangers": "Open HTTP connections on which nobody has logged in.",
    "fernamt_http_connections_refused_total": (
        "HTTP connections that were refused, or closed before their time, by reason: no room, too slow, malformed."
    ),
    "fernamt_websockets": "Open WebSockets, by route.",
    # jobs
    "fernamt_jobs": "Jobs of a tenant by state: waiting (for their time too), running, dead (somebody must look). Dead should be 0.",
    "fernamt_events_told_total": "Domain events of a tenant of which subscribers (webhooks) were told.",
    "fernamt_jobs_oldest_seconds": "How long the job of a tenant that is due longest has been due; rises where they do not keep up.",
    "fernamt_jobs_done_total": "Jobs of a tenant that were done, by job.",
    "fernamt_jobs_failed_total": "Tries of jobs of a tenant that failed, by job; they are made again.",
    "fernamt_jobs_given_up_total": "Jobs of a tenant that are dead: tried as often as they may be, or can never succeed. Should stay 0.",
    "fernamt_blobs_missing": "Files of a tenant that are not where they should be, as the daily sweep found. Should stay 0.",
    # the process
    "fernamt_tenants_failed": "Tenants that could not be opened and are not served; /readyz says why. Should stay 0.",
    "fernamt_databases_away": "Databases, or servers of them, that do not answer at this moment; /readyz says which.",
    "fernamt_up_seconds": "Seconds since the voice service of this process started.",
    "fernamt_main_cpu_seconds_total": "CPU time of the main process, in seconds.",
}
"""Name of the family as it is in the text -> its sentence."""
