"""What own sounds are made of. Their rows are the telephony setup's."""

from __future__ import annotations

from api.kit.slices import Slice
from api.sounds.permissions import PERMISSIONS
from api.sounds.routes import router

SLICE = Slice(
    tag="sounds",
    says="The tenant's own announcements and music.",
    routers=(router,),
    permissions=PERMISSIONS,
    impersonal=frozenset({"listSounds", "listPackagedSounds", "getSound", "getSoundAudio"}),  # announcements, which every caller hears
    unanswered=frozenset({"createSound", "replaceSound", "deleteSound"}),
)
