"""What recordings are made of: their rows are `billing_cdr`'s."""

from __future__ import annotations

from api.kit.slices import Slice
from api.recordings.permissions import PERMISSIONS
from api.recordings.retention import keep_short
from api.recordings.routes import router
from api.shared import Shared


async def _keep_short(this: Shared) -> None:
    await keep_short(this.services, this.metrics.recordings_deleted)


SLICE = Slice(
    tag="recordings",
    says="Listed, heard and deleted; every access is in the audit.",
    routers=(router,),
    permissions=PERMISSIONS,
    personal={
        "listRecordings": "recording",
        "getRecording": "recording",
        "getRecordingAudio": "recording_audio",  # told apart: who looked it up has not heard it yet
    },
    unanswered=frozenset({"deleteRecording"}),
    beside=(_keep_short,),
    metrics={
        "fernamt_recordings_played_total": "Answers with the audio of a recording from its beginning.",
        "fernamt_recordings_sent_octets_total": "Octets of recordings' audio that were sent.",
        "fernamt_recordings_deleted_total": "Recordings deleted, by people or because their time was over.",
    },
)
