"""Jobs and results as bytes between hosts: there and back the same, and no pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from course_lib.classroom import wire
from course_lib.classroom.job import Job, Ran
from course_lib.classroom.probes import Probe, Way
from course_lib.classroom.returned import checked
from course_lib.classroom.sandbox import Limits

NOTES, NOTE_CHARACTERS = 10_000, 400


def pack_job(job: Job, limits: Limits, needs: Mapping[str, str]) -> bytes:
    """A job, its limits, and what its host must have (see `host.inventory`)."""
    return wire.encode(
        {
            "needs": dict(needs),
            "limits": asdict(limits),
            "cells": list(job.cells),
            "files": [(name, np.frombuffer(content, np.uint8)) for name, content in job.files],
            "probes": [_pack_probe(probe) for probe in job.probes],
            "order": job.order,
        }
    )


def unpack_job(message: bytes) -> tuple[Job, Limits, dict[str, str]]:
    """The same again. Raises WireError."""
    got = wire.decode(message)
    files = tuple((name, content.tobytes()) for name, content in got["files"])
    probes = tuple(_unpack_probe(fields) for fields in got["probes"])
    job = Job(tuple(got["cells"]), probes, files, got["order"])
    return job, Limits(**got["limits"]), got["needs"]


def _pack_probe(probe: Probe) -> dict:
    cases = [_blob(dict(case)) for case in probe.cases]
    return vars(probe) | {"cases": cases, "ways": [asdict(way) for way in probe.ways]}


def _unpack_probe(fields: dict) -> Probe:
    cases = tuple(wire.decode(case.tobytes()) for case in fields["cases"])
    return Probe(**fields | {"cases": cases, "ways": tuple(Way(**way) for way in fields["ways"])})


def pack_ran(ran: Ran, job: Job) -> bytes:
    """What came of a job. The outputs of an exercise are a message of their own, as in a frame."""
    outputs = {}
    for probe in job.probes:
        got = ran.outputs[probe.name]
        outputs[probe.name] = [_blob([one]) for one in got] if probe.ways else [_blob(got)]
    return wire.encode({"outputs": outputs, "notes": list(ran.notes)})


def unpack_ran(message: bytes, job: Job) -> Ran:
    """The same again, looked at as what comes from a sandbox. Raises WireError."""
    try:
        got = wire.decode(message, only_plain=True)
        outputs = {}
        for probe in job.probes:
            blobs = got["outputs"][probe.name]
            if len(blobs) != (len(probe.ways) or 1):
                raise wire.WireError(f"the results of {probe.name} came back in part")
            outputs[probe.name] = [one for blob in blobs for one in checked(probe, blob.tobytes())]
        notes = tuple(str(note)[:NOTE_CHARACTERS] for note in got["notes"][:NOTES])
    except (LookupError, TypeError, AttributeError) as error:
        raise wire.WireError(f"what came back is no result: {type(error).__name__}") from None
    return Ran(outputs, notes)


def _blob(value: object) -> np.ndarray:
    return np.frombuffer(wire.encode(value), np.uint8)
