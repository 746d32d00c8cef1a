"""The command in a process of its own, and the examples of docs/live_scoring.md against it."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "live_scoring.md"
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)


def sepsis(*arguments, cwd, **options):
    return subprocess.run(
        [sys.executable, "-m", "sepsis", *arguments], capture_output=True, text=True, cwd=cwd, **options
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a model in it, made by the commands."""
    place = tmp_path_factory.mktemp("live")
    for line in (
        "synth --stays 120 --seed 1 --out export",
        "label export --preset moor2019 --out labels",
        "train export --labels labels --model logistic --out model",
    ):
        done = sepsis(*line.split(), cwd=place)
        assert done.returncode == 0, done.stderr
    return place


@contextmanager
def running(folder, *options, environment=None):
    """(address, process) of a service; its log is read to the end when it is stopped."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sepsis", "serve", "model", "--port", "0", *options],
        cwd=folder, stderr=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})},
    )  # fmt: skip
    try:
        first = process.stderr.readline()
        found = re.match(r"Serving on (http://\S+?:\d+)", first)
        assert found, first + process.stderr.read()
        yield found[1], process
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def block(language, holding):
    (found,) = [text for name, text in BLOCKS if name == language and holding in text]
    return found


def ask(address, path, body=None, **headers):
    data = None if body is None else json.dumps(body).encode()
    request = Request(address + path, data, {"Content-Type": "application/json", **headers})
    with urlopen(request) as answer:
        return json.load(answer)


@pytest.mark.slow
def test_the_examples_in_python_and_with_curl_run_as_written(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    exec(compile(block("python", "Scorer("), "live_scoring.md", "exec"), {})
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]] == ["1.0", "2.0", "3.0"]
    (options,) = re.findall(r"^sepsis serve model --port 8000 (.*)$", block("bash", "pip install"), re.M)
    with running(folder, *options.split()) as (address, _):
        exec(block("python", "urlopen").replace("http://127.0.0.1:8000", address), {})
        if not shutil.which("curl"):
            pytest.skip("no curl on this machine")
        text = block("bash", "curl").replace("http://127.0.0.1:8000", address)
        done = subprocess.run(["bash", "-ec", text], capture_output=True, text=True, check=True)
    answers = [json.loads(one) for one in done.stdout.replace("}{", "}\n{").splitlines()]
    assert [row["time_h"] for row in answers[0]["changed"]] == [1.0, 2.0, 3.0]
    assert answers[1]["scores"] == answers[2]["scores"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_live_stays_outlive_a_stop_and_the_log_names_none(folder, how):
    state = f"state-{how}"
    push = {"now_h": 7731.5 / 100, "events": [{"time_h": 1.0, "concept": "heart_rate", "value": 77.31}]}
    with running(folder, "--state", state) as (address, process):
        ask(address, "/stays/773177317/events", push)
        before = ask(address, "/stays/773177317")
        process.send_signal(how)
        log = process.stderr.read()
        assert process.wait(60) == 0, log
    assert "POST /stays/{stay_id}/events 200" in log
    assert "7731" not in log
    with running(folder, "--state", state) as (address, _):
        assert ask(address, "/stays/773177317") == before


def test_a_token_from_the_environment_opens_another_host(folder):
    token = "a-token-of-more-than-16"
    with running(folder, "--host", "0.0.0.0", environment={"SEPSIS_TOKEN": token}) as (address, _):
        here = address.replace("0.0.0.0", "127.0.0.1")
        assert ask(here, "/health") == {"status": "ok"}
        with pytest.raises(HTTPError, match="401") as refused:
            ask(here, "/model")
        refused.value.close()
        assert ask(here, "/model", Authorization=f"Bearer {token}")["metadata"]["model"] == "logistic"


def test_what_cannot_be_served_ends_in_a_documented_exit_code(folder):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        cases = [
            (("--host", "0.0.0.0"), 2, "--host: is reachable from the network, and there is no token"),
            (("--token-file", "nowhere"), 2, "--token-file: cannot be read"),
            (("--port", port), 2, "--port: is not available"),
            (("--port", "0", "--state", "labels"), 2, "was not written by this command"),
            (("--max-body-mb", "0"), 2, "--max-body-mb: is 0"),
        ]
        for options, code, message in cases:
            done = sepsis("serve", "model", *options, cwd=folder)
            assert done.returncode == code, done.stderr
            assert message in done.stderr
            assert "Traceback" not in done.stderr
