"""What is done beside requests, composed: the jobs of all slices and of the kit, and who is told of events."""

from __future__ import annotations

from api.kit.blobs import Blobs
from api.shared import Shared


def compose(ours: Shared) -> None:
    """When every slice has made its parts: each says what it has to be done, and who of it is told of what happens."""
    this = ours.services
    ours.add((Blobs(this.settings, this.databases, this.jobs),))
    this.outbox.kinds = ours.slices.events
    for one in ours.slices.slices:
        for jobs in one.jobs:
            this.jobs.define(jobs(ours))
        for subscriber in one.subscribers:
            this.outbox.subscribe(subscriber(ours))
