"""The service as a client meets it: risks as in batch, limits, tokens, and no word of a patient anywhere."""

import asyncio
import json
import logging
import re
import threading
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest

from sepsis.core.errors import ExportError, UsageError
from sepsis.live import Scorer
from sepsis.serve.gate import Gate
from sepsis.serve.service import Service
from sepsis.serve.settings import Limits, read_token, require_safe
from tests.live.made_up import batch_scores, events_of

EVENTS = [
    {"time_h": 0.4, "concept": "heart_rate", "value": 92.0},
    {"time_h": 2.1, "concept": "lactate", "value": 2.5},
    {"time_h": 2.1, "concept": "lactate", "value": 4.5},
    {"time_h": 3.0, "concept": "map", "value": 61.5},
]
TOKEN = "a-token-of-more-than-16"
MARKER = "Zzyzx7731"
HUGE = f'{{"events": [{{"time_h": 1, "concept": "map", "value": 1{"0" * 400}}}]}}'  # no float holds it
MARKED_ID = 773_177_317_731


def refused(answer, status, found):
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"where", "found", "expected", "todo"}
    assert found in f"{body['where']}: {body['found']}"
    assert answer.headers["content-type"] == "application/json"


def test_a_batch_over_http_has_the_bits_of_batch_scoring(client, trained):
    stays = [
        {"stay_id": 7, "subject_id": 21, "now_h": 5.5, "events": EVENTS},
        {"stay_id": 8, "subject_id": 22, "events": EVENTS[:1]},
    ]
    answer = client.post("/score", json={"stays": stays})
    assert answer.status_code == 200
    table = events_of([tuple(event.values()) for event in EVENTS])
    expected = batch_scores(trained.model, {7: [table], 8: [table[:1]]}, {7: 5.5, 8: 0.4}, subject=21)
    found = pd.DataFrame(answer.json()["scores"])
    assert np.array_equal(found.risk.astype(float), expected.risk, equal_nan=True)
    assert found.reason.tolist() == expected.reason.tolist()
    assert answer.json()["metadata"]["notice"] == "Research software; not a medical device."
    refused(client.get("/stays/7"), 404, "no such live stay")


def test_pushes_over_http_in_any_order_end_at_batch_scoring(client, trained):
    shown = {}
    for part, now_h in ((EVENTS[3:], 3.5), (EVENTS[:1], 3.5), ([], 4.0), (EVENTS[1:3], 5.5)):
        body = {"subject_id": 21, "now_h": now_h, "events": part}
        answer = client.post("/stays/7/events", json=body)
        assert answer.status_code == 200
        for row in answer.json()["changed"]:
            assert row["revised"] == (row["time_h"] in shown)
            shown[row["time_h"]] = row["risk"]
    table = events_of([tuple(event.values()) for event in EVENTS])
    expected = batch_scores(trained.model, {7: [table]}, {7: 5.5}, subject=21)
    assert shown == dict(zip(expected.time_h, expected.risk, strict=True))
    stay = client.get("/stays/7").json()
    assert [row["risk"] for row in stay["scores"]] == expected.risk.tolist()
    assert [row["given_at_h"] for row in stay["as_given"]] == [3.5, 3.5, 3.5, 4.0, 5.5]
    assert stay["as_given"][0]["risk"] != stay["scores"][0]["risk"]
    assert (stay["events"], stay["waiting"], stay["clock_h"]) == (4, 0, 5.5)
    assert client.delete("/stays/7").json()["scores"] == stay["scores"]
    refused(client.delete("/stays/7"), 404, "no such live stay")


def test_the_model_says_what_it_reads(client):
    about = client.get("/model").json()
    assert [one["concept"] for one in about["concepts"]] == ["heart_rate", "lactate", "map"]
    assert about["concepts"][1]["unit"] == "mmol/L"
    assert about["definition"] == "moor2019"
    assert client.get("/health").json() == {"status": "ok"}
    assert "not a medical device" in client.get("/openapi.json").json()["info"]["description"]


def test_what_a_push_counted_is_its_own(client):
    first = client.post("/stays/7/events", json={"events": EVENTS}).json()["ledger"]
    assert {"concept": "lactate", "reason": "kept", "rows": 2} in first
    some = [
        {"time_h": 4.0, "concept": "lactate", "value": 9999.0},
        {"time_h": 4, "concept": "map", "value": None},
    ]
    assert client.post("/stays/7/events", json={"events": some}).json()["ledger"] == [
        {"concept": "lactate", "reason": "implausible", "rows": 1},
        {"concept": "map", "reason": "no number", "rows": 1},
    ]


@pytest.mark.parametrize(
    ("body", "status", "found"),
    [
        ("{", 400, "body: is not JSON"),
        ('{"events": [' + "[" * 20_000, 400, "body: "),
        ('{"events": 1}', 422, "events: 1 invalid fields; the first: list type"),
        ('{"now_h": NaN}', 422, "now_h: 1 invalid fields; the first: "),
        ('{"now_h": 1e999}', 422, "now_h: "),
        ('{"now_h": "3"}', 422, "now_h: 1 invalid fields; the first: float type"),
        ('{"now_h": true}', 422, "now_h: "),
        ('{"now_h": 2401}', 422, "now_h: 1 invalid fields; the first: less than equal"),
        ('{"subject_id": 9223372036854775808}', 422, "subject_id: "),
        ('{"subject_id": 1.5}', 422, "subject_id: "),
        (json.dumps({MARKER: 1}), 422, "body.(unknown field): 1 invalid fields"),
        ('{"events": [{"time_h": 1, "concept": "map", "value": 1e400}]}', 422, "body.events.0.value: "),
        (HUGE, 422, "events.0.value: "),
        ('{"events": [{"time_h": 1, "concept": "map"}]}', 422, "events.0.value: 1 invalid fields"),
        (
            json.dumps({"events": [{"time_h": 1, "concept": "map", "value": 7.0, "unit": MARKER}]}), 422,
            "events.unit: rows that have a unit the vocabulary cannot convert: 1 map",
        ),
    ],
)  # fmt: skip
def test_a_body_that_breaks_its_contract_is_refused_without_repeating_it(client, body, status, found):
    answer = client.post(
        f"/stays/{MARKED_ID}/events", content=body, headers={"content-type": "application/json"}
    )
    refused(answer, status, found)
    assert MARKER not in answer.text
    assert str(MARKED_ID) not in answer.text
    refused(client.get(f"/stays/{MARKED_ID}"), 404, "no such live stay")


@pytest.mark.parametrize(
    "path", ["/stays/x", "/stays/1.0", "/stays/9223372036854775808", "/stays/+1", "/stays/1_0"]
)
def test_a_stay_that_is_no_64_bit_number_is_refused(client, path):
    refused(client.get(path), 422, "path.stay_id: 1 invalid fields")


def test_unknown_paths_and_methods(client):
    refused(client.get("/stays"), 404, "no such path")
    answer = client.put("/score")
    refused(answer, 405, "method not allowed")
    assert answer.headers["allow"] == "POST"
    assert client.patch("/stays/7").headers["allow"] == "DELETE, GET"


def test_another_subject_for_a_live_stay_is_a_conflict(client):
    client.post("/stays/7/events", json={"subject_id": 1})
    refused(client.post("/stays/7/events", json={"subject_id": 2}), 409, "subject_id: differs from")


def test_limits_of_a_batch(client):
    twice = [{"stay_id": 7, "events": []}] * 2
    refused(client.post("/score", json={"stays": twice}), 422, "stays: duplicate stay_id")
    long = [{"stay_id": n, "now_h": 2400, "events": []} for n in range(11)]
    refused(client.post("/score", json={"stays": long}), 422, "stays: too many hours")
    before = {"stay_id": 11, "events": [{"time_h": -876_000, "concept": "map", "value": 70.0}]}
    refused(client.post("/score", json={"stays": [*long, before]}), 422, "stays: too many hours")
    many = [{"time_h": 1, "concept": "map", "value": 70.0}] * 10_001
    stays = [{"stay_id": n, "events": many} for n in range(2)]
    refused(client.post("/score", json={"stays": stays}), 422, "stays: too many events")


def test_more_live_stays_than_there_may_be_are_asked_to_wait(serve):
    client = serve(max_stays=1)
    client.post("/stays/7/events", json={})
    answer = client.post("/stays/8/events", json={})
    refused(answer, 429, "stays: 1 are live")
    assert answer.headers["retry-after"] == "1"
    client.delete("/stays/7")
    assert client.post("/stays/8/events", json={}).status_code == 200


def test_a_body_that_is_too_large_is_refused_with_and_without_its_length(serve):
    client = serve(max_body_mb=0.001)
    large = json.dumps({"events": EVENTS * 10}).encode()
    refused(client.post("/stays/7/events", content=large), 413, "body: is too large")
    parts = (large[i : i + 100] for i in range(0, len(large), 100))
    answer = client.post("/stays/7/events", content=parts)
    assert "content-length" not in answer.request.headers
    refused(answer, 413, "body: is too large")


def test_one_request_at_a_time_and_the_others_are_told_when_to_come_back(serve, monkeypatch):
    client = serve(max_requests=2, wait_s=0.05)
    inside, leave = threading.Event(), threading.Event()
    plain = Scorer.push

    def slow(*arguments, **options):
        inside.set()
        assert leave.wait(20)
        return plain(*arguments, **options)

    monkeypatch.setattr(Scorer, "push", slow)
    answers = []
    first = threading.Thread(target=lambda: answers.append(client.post("/stays/7/events", json={})))
    first.start()
    assert inside.wait(20)
    waited = client.get("/stays/7")
    leave.set()
    first.join()
    refused(waited, 503, "service: is busy")
    assert waited.headers["retry-after"] == "1"
    assert answers[0].status_code == 200


def test_more_requests_than_there_may_be_are_turned_away_at_the_door(serve, monkeypatch):
    client = serve(max_requests=1)
    inside, leave = threading.Event(), threading.Event()
    monkeypatch.setattr(Service, "about", lambda self: (inside.set(), leave.wait(20), {})[2])
    first = threading.Thread(target=lambda: client.get("/model"))
    first.start()
    assert inside.wait(20)
    answer, health = client.get("/openapi.json"), client.get("/health")
    leave.set()
    first.join()
    refused(answer, 503, "service: is busy")
    assert answer.headers["retry-after"] == "1"
    assert health.status_code == 200


def test_a_body_that_does_not_arrive_is_not_waited_for():
    sent = []

    async def never():
        await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/score", "headers": [(b"host", b"localhost")]}
    gate = Gate(None, token=None, limits=Limits(body_s=0.01))
    asyncio.run(gate(scope, never, send))
    assert sent[0]["status"] == 408
    assert json.loads(sent[1]["body"])["found"] == "did not arrive in time"


def test_a_body_that_says_it_is_too_large_is_not_read():
    sent = []

    async def never():
        raise AssertionError("read")

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-length", b"1048577")]
    scope = {"type": "http", "method": "POST", "path": "/score", "headers": headers}
    asyncio.run(Gate(None, token=None, limits=Limits(max_body_mb=1))(scope, never, send))
    assert sent[0]["status"] == 413


def test_a_page_in_a_browser_cannot_post_as_plain_text(client):
    body = json.dumps({"events": EVENTS})
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        answer = client.post("/stays/7/events", content=body, headers={"content-type": kind})
        refused(answer, 422, "body: 1 invalid fields")
    refused(client.get("/stays/7"), 404, "no such live stay")


def test_with_a_token_everything_but_health_asks_for_it(serve):
    client = serve(token=TOKEN, base_url="http://icu.example.org")
    assert client.get("/health").status_code == 200
    for header in (
        None,
        "",
        TOKEN,
        "Bearer",
        "Bearer wrong-token-wrong-token",
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
    ):
        headers = {} if header is None else {"authorization": header}
        for method, path in (
            ("GET", "/model"), ("POST", "/score"), ("POST", "/stays/7/events"), ("GET", "/stays/7"),
            ("DELETE", "/stays/7"), ("GET", "/openapi.json"), ("GET", "/nowhere"),
        ):  # fmt: skip
            answer = client.request(method, path, headers=headers)
            refused(answer, 401, "authorization: no valid token")
            assert answer.headers["www-authenticate"] == "Bearer"
    assert client.get("/model", headers={"authorization": f"bearer {TOKEN}"}).status_code == 200
    schema = client.get("/openapi.json", headers={"authorization": f"Bearer {TOKEN}"}).json()
    assert schema["security"] == [{"token": []}]
    assert schema["paths"]["/health"]["get"]["security"] == []


def test_without_a_token_only_this_machine_may_be_asked_for(serve):
    for host in ("localhost:8000", "127.0.0.1", "[::1]:8000"):
        assert serve().get("/model", headers={"host": host}).status_code == 200
    for host in ("evil.example.org", "evil.example.org:8000", "[2001:db8::1]", ""):
        refused(serve().get("/model", headers={"host": host}), 400, "host: is not this machine")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.4", "icu.example.org"])
def test_a_network_without_a_token_is_refused(host):
    with pytest.raises(UsageError, match="--host: is reachable from the network") as error:
        require_safe(host, None)
    assert error.value.exit_code == 2
    require_safe(host, TOKEN)


def test_a_token_comes_from_a_file_or_the_environment(tmp_path):
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file, {}) == TOKEN
    assert read_token(None, {"SEPSIS_TOKEN": TOKEN}) == TOKEN
    assert read_token(None, {}) is None
    for bad in ("", "short", "with a blank in between", "ümlaut-ümlaut-ümlaut"):
        file.write_text(bad, encoding="utf-8")
        with pytest.raises(UsageError, match="--token-file: is not a valid token") as error:
            read_token(file, {})
        assert not bad or bad not in str(error.value)
    with pytest.raises(UsageError, match="--token-file: cannot be read"):
        read_token(tmp_path / "none", {})
    with pytest.raises(UsageError, match="SEPSIS_TOKEN: is not a valid token"):
        read_token(None, {"SEPSIS_TOKEN": ""})


def test_limits_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="--max-body-mb: is 0. Expected: more than 0"):
        Limits(max_body_mb=0)


def test_live_stays_are_stored_when_the_service_stops(serve, trained, tmp_path):
    state = tmp_path / "state"
    with serve(state=state) as client:
        client.post("/stays/7/events", json={"now_h": 3.5, "events": EVENTS})
        before = client.get("/stays/7").json()
    assert serve(state=state).get("/stays/7").json() == before
    (state / "events.parquet").write_bytes(b"")
    with pytest.raises(ExportError, match=r"events\.parquet is missing, damaged or was changed"):
        Service(trained, Limits(), state)


@pytest.mark.parametrize("error", [OSError, ValueError])
def test_stays_that_could_not_be_stored_are_a_failure_whatever_went_wrong(serve, monkeypatch, error):
    def fails(self):
        raise error("full")

    client = serve()
    monkeypatch.setattr(Service, "save", fails)
    with pytest.raises(ValueError, match="full") if error is ValueError else nullcontext(), client:
        assert not client.app.state.failed
    assert client.app.state.failed


def test_nothing_of_a_patient_is_in_a_log_or_an_error(serve, caplog, capfd, monkeypatch):
    """Ids, values, texts and a failure inside that holds all of them."""
    caplog.set_level(logging.DEBUG)
    client = serve()
    marked = [
        {"time_h": 1.0, "concept": MARKER, "value": 61.7731},
        {"time_h": 1.5, "concept": "map", "value": 61.7731},
    ]
    answers = [
        client.post(f"/stays/{MARKED_ID}/events", json={"subject_id": MARKED_ID, "events": marked}),
        client.post(f"/stays/{MARKED_ID}/events", json={"subject_id": 1, "events": marked}),
        client.post(f"/stays/{MARKED_ID}/events", json={"events": [{**marked[1], "unit": MARKER}]}),
        client.post(f"/stays/{MARKED_ID}/events", json={MARKER: 61.7731}),
        client.get(f"/stays/{MARKER}"),
        client.get(f"/{MARKER}/{MARKED_ID}"),
    ]

    def fails(*_, **__):
        raise ValueError(f"{MARKED_ID} {MARKER} 61.7731")

    monkeypatch.setattr(Scorer, "push", fails)
    answers.append(client.post(f"/stays/{MARKED_ID}/events", json={"events": marked}))
    refused(answers[-1], 500, "service: failed")
    text = "".join(answer.text for answer in answers[1:])
    ours = [r for r in caplog.records if r.name.startswith(("sepsis", "uvicorn", "fastapi", "asyncio"))]
    assert any(r.getMessage() == "POST /stays/{stay_id}/events 409" for r in ours)
    (failed,) = [r.getMessage() for r in ours if "failed inside the service" in r.getMessage()]
    assert re.fullmatch(
        r"A request failed inside the service: ValueError "
        r"tests\.serve\.test_service:\d+ from sepsis\.serve\.service:\d+\.", failed,
    )  # fmt: skip
    text += "".join(f"{r.getMessage()}{r.exc_text or ''}{r.exc_info or ''}" for r in ours) + "".join(
        capfd.readouterr()
    )
    for mark in (MARKER, str(MARKED_ID), "61.7731", "Traceback"):
        assert mark not in text, mark
