"""
Live stays: no error of a push, no answer that is a refusal and no line of the log repeats what was sent.
"""

import json
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import pandas as pd
import pytest

from sepsis.core.errors import SepsisError
from sepsis.live import Scorer
from tests.privacy.desk import overheard, silent
from tests.privacy.markers import PLATELETS, VALUES, WORDS

NOTE, VALUE = WORDS["note"], VALUES[PLATELETS][0]
EVENT = {"time_h": 1.5, "concept": "platelets", "value": VALUE}
PUSHES = {
    "a word for a value": {"value": f"{VALUE} {NOTE}"},
    "a word for a time": {"time_h": NOTE},
    "a date for a time": {"time_h": pd.Timestamp("2150-01-31 10:00")},
    "a time in seconds": {"time_h": 5_000_000.0},
    "no time": {"time_h": None},
    "a unit": {"unit": NOTE},
    "a number for a unit": {"unit": VALUE},
    "no name": {"concept": VALUE},
    "a column": {NOTE: VALUE},
    "another stay": {"stay_id": "other"},
}


@pytest.mark.parametrize("push", PUSHES)
def test_a_push_that_is_refused(study, push):
    stay, other = study.markers.ids["stay"][:2]
    row = {**EVENT, **PUSHES[push]}
    row |= {"stay_id": other} if push == "another stay" else {}
    with overheard() as heard, pytest.raises(SepsisError) as caught:
        Scorer(study.at("models", "logistic")).push(stay, pd.DataFrame([row]).astype(object))
    assert not study.markers.found(f"{caught.value} {caught.value.__cause__} {caught.value.__context__}")
    assert not heard[0]


def test_ids_and_clocks_that_are_refused(study, tmp_path):
    (stay, other), person = study.markers.ids["stay"][:2], study.markers.ids["subject"][0]
    scorer = Scorer(study.at("models", "logistic"), max_stays=1, max_events=1)
    scorer.push(stay, pd.DataFrame([EVENT]), subject_id=person, now_h=3.0)
    refused = (
        lambda: scorer.push(other, None),
        lambda: scorer.push(stay, None, subject_id=person + 1),
        lambda: scorer.push(stay, pd.DataFrame([EVENT])),
        lambda: scorer.push(f"p{stay}"),
        lambda: scorer.push(stay, subject_id=person + 0.5),
        lambda: scorer.push(stay, now_h=-VALUE),
        lambda: scorer.push(stay, now_h=f"{VALUE}"),
        lambda: scorer.scores(other),
        lambda: scorer.discharge(other),
    )
    for ask in refused:
        with pytest.raises(SepsisError) as caught:
            ask()
        assert not study.markers.found(str(caught.value))
    scorer.save(tmp_path / "state")
    assert study.markers.by_file(tmp_path / "state") == {
        "stays.parquet": {"stay", "subject"}, "events.parquet": {"stay", "value"}, "risks.parquet": {"stay"},
    }  # fmt: skip
    (tmp_path / "state" / "events.parquet").write_bytes(str(stay).encode())
    options = ("--state", tmp_path / "state", "--port", "0")
    silent(
        study.markers,
        11,
        "events.parquet is missing, damaged",
        "serve",
        study.at("models", "logistic"),
        *options,
    )


@contextmanager
def served(study):
    """(port, process) of a service in a process of its own, as it is run."""
    command = [sys.executable, "-m", "sepsis", "serve", study.at("models", "logistic"), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        first = process.stdout.readline()
        yield int(re.search(r":(\d+)\.", first)[1]), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def requests(markers):
    """(status, method, path, body) of what is sent; each holds markers."""
    stay, person = markers.ids["stay"][0], markers.ids["subject"][0]
    at = f"/stays/{stay}/events"
    return [
        (200, "POST", at, {"subject_id": person, "now_h": 3.0, "events": [EVENT]}),
        (409, "POST", at, {"subject_id": person + 1, "events": [EVENT]}),
        (422, "POST", at, {"events": [{**EVENT, "value": f"{VALUE} {NOTE}"}]}),
        (422, "POST", at, {"events": [{**EVENT, "unit": NOTE}]}),
        (422, "POST", at, {"events": [{**EVENT, NOTE: VALUE}]}),
        (422, "POST", at, {"events": [{**EVENT, "concept": NOTE * 9}]}),
        (422, "POST", at, {"subject_id": f"p{person}"}),
        (422, "POST", at, {"now_h": -VALUE}),
        (422, "POST", at, {NOTE: [stay]}),
        (422, "POST", f"/stays/p{stay}/events", {}),
        (400, "POST", at, f'{{"subject_id": {person}, "{NOTE}": {VALUE}'),
        (422, "POST", "/score", {"stays": [{"stay_id": stay, "events": []}] * 2}),
        (422, "POST", "/score", [stay, VALUE, NOTE]),
        (404, "GET", f"/stays/{markers.ids['stay'][1]}", None),
        (404, "GET", f"/{NOTE}/{stay}?subject={person}", None),
        (405, "PATCH", f"/stays/{stay}", {"value": VALUE}),
        (400, "GET", f"/stays/{stay}", None),
    ]


def test_the_service_repeats_nothing_that_was_sent_where_it_refuses_and_in_its_log(study):
    asked = requests(study.markers)
    with served(study) as (port, process):
        for status, method, path, body in asked:
            headers = {"Content-Type": "application/json", "X-Patient": NOTE}
            if status == 400 and method == "GET":
                headers["Host"] = f"{NOTE}.example.org"
            with closing(HTTPConnection("127.0.0.1", port)) as link:
                link.request(method, path, body if isinstance(body, str) else json.dumps(body), headers)
                answer = link.getresponse()
                text = answer.read().decode() + str(answer.headers)
            assert answer.status == status, (path, text)
            assert bool(study.markers.found(text)) == (status == 200), text
        with socket.create_connection(("127.0.0.1", port)) as raw:  # no HTTP at all
            raw.sendall(f"{NOTE} {asked[0][2]} {VALUE}\r\n\r\n".encode())
            assert not study.markers.found(raw.recv(65536))
        process.send_signal(signal.SIGTERM)
        log = process.stdout.read()
        assert process.wait(60) == 0, log
    assert log.count("POST /stays/{stay_id}/events 422") == 8, log
    assert not study.markers.found(log), log
