"""What the viewer's server gives, and to whom."""

import json
import shutil
import socket
import threading
from pathlib import Path

import numpy as np
import pytest
from made import Units, begin, snapshot
from safetensors.numpy import load
from starlette.testclient import TestClient

import huelapse
from conftest import SmallNet, batches
from huelapse.errors import FormatError, NotARunError, OptionError, ServerError
from huelapse.measures import interval
from huelapse.palette import level
from huelapse.viewer import server
from huelapse.viewer.resources import Resources
from huelapse.viewer.security import POLICY, host_name
from huelapse.viewer.shelf import Shelf, run_id

TOKEN = "a-token"
PORT = 8765


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("runs") / "small"
    import torch

    torch.manual_seed(0)
    model = SmallNet()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    x, y = batches(300)
    with huelapse.Recorder(
        model, path, probe=(x, y), classes=["a", "b", "<b>c</b>"], schedule=1, probe_budget=None
    ) as recorder:
        for _ in range(20):
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step(loss=loss)
    return huelapse.open(path)


@pytest.fixture(scope="module")
def client(run: huelapse.Run, bundle: None) -> TestClient:
    app = server.build_app(Shelf([run]), token=TOKEN)
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)
    client.cookies.set(f"huelapse-{PORT}", TOKEN)
    return client


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The real bundle is built before the tests; without it the server refuses to start."""
    server.load_static()


def get(client: TestClient, run: huelapse.Run, path: str) -> dict[str, np.ndarray]:
    answer = client.get(f"/{run_id(run)}/{path}")
    assert answer.status_code == 200, path
    return load(answer.content)


def test_the_manifest_says_what_the_run_holds(client: TestClient, run: huelapse.Run) -> None:
    assert client.get("/runs.json").json()["runs"][0]["id"] == run_id(run)
    manifest = client.get(f"/{run_id(run)}/manifest.json").json()
    assert manifest["name"] == "small"
    assert manifest["state"] == "complete"
    assert [layer["offset"] for layer in manifest["layers"]] == [0, 5, 12]
    split = manifest["splits"][0]
    assert (split["snapshots"], split["metrics"], split["samples"]) == (21, ["loss"], 300)
    assert split["groupings"][0]["classes"] == ["a", "b", "<b>c</b>"]


@pytest.mark.parametrize("grouping", ["true", "predicted"])
def test_paint_is_what_python_computes(
    client: TestClient, run: huelapse.Run, grouping: str
) -> None:
    chunks = [get(client, run, f"val/{grouping}/margin/paint/{c}.st") for c in (0, 1)]
    assert [len(c["level"]) for c in chunks] == [16, 5]
    for t in range(21):
        chunk = chunks[t // 16]
        step = int(run.steps[t])
        strength = run.strength(step, grouping=grouping)
        np.testing.assert_array_equal(chunk["level"][t % 16], level(strength))
        held = chunk["state"][t % 16] == 0
        state = run.state(step, grouping=grouping)
        np.testing.assert_array_equal(held, state <= huelapse.State.UNSELECTIVE)
        np.testing.assert_array_equal(
            held & (chunk["level"][t % 16] >= 50), state == huelapse.State.TUNED
        )
        preferred = run.preferred(step, grouping=grouping)
        known = chunk["preferred"][t % 16] != 65535
        np.testing.assert_array_equal(chunk["preferred"][t % 16][known], preferred[known])
    assert client.get(f"/{run_id(run)}/val/true/margin/paint/2.st").status_code == 404


def test_summaries_count_what_paint_holds(client: TestClient, run: huelapse.Run) -> None:
    summary = get(client, run, "val/true/margin/summary.st")
    classes = get(client, run, "val/true/margin/classes.st")
    for t, step in enumerate(run.steps.tolist()):
        state, strength = run.state(step), run.strength(step)
        for i, layer in enumerate(run.layers):
            own = layer.slice
            tuned = (state[own] == huelapse.State.TUNED).sum()
            assert summary["bins"][t, i, 10:].sum() == tuned
            assert summary["states"][t, i].sum() == layer.units
            assert summary["mean_strength"][t, i] == pytest.approx(strength[own].mean(), abs=1e-6)
        assert classes["bins"][t].sum() == summary["bins"][t].sum()
        for k in range(3):
            expected = ((state == 0) & (run.preferred(step) == k)).sum()
            assert classes["bins"][t, k, 10:].sum() == expected
    assert summary["n"][0].tolist() == [100, 100, 100]


def test_a_units_history_has_its_intervals(client: TestClient, run: huelapse.Run) -> None:
    unit = get(client, run, "val/true/margin/unit/3.st")
    for t in (0, 20):
        moments = run.moments(t)
        low, high = interval(moments)
        np.testing.assert_allclose(unit["mean"][t], moments.mean[:, 3], rtol=1e-6)
        np.testing.assert_allclose(unit["low"][t], low[:, 3], rtol=1e-5)
        np.testing.assert_allclose(unit["high"][t], high[:, 3], rtol=1e-5)
        assert unit["strength"][t] == pytest.approx(run.strength(int(run.steps[t]))[3])
        assert unit["sure"][t] == pytest.approx(run.sure(int(run.steps[t]))[3])
    assert client.get(f"/{run_id(run)}/val/true/margin/unit/15.st").status_code == 404


def test_scalars_confusion_and_palette(client: TestClient, run: huelapse.Run) -> None:
    scalars = get(client, run, "val/scalars.st")
    np.testing.assert_array_equal(scalars["step"], run.steps)
    np.testing.assert_array_equal(scalars["accuracy"], run.accuracy())
    assert np.isnan(scalars["metric.loss"][0])
    confusion = get(client, run, "val/confusion.st")["confusion"]
    np.testing.assert_array_equal(confusion, run.confusion())
    palette = get(client, run, "palette.st")
    assert palette["dark.3"].shape == palette["light.3"].shape == (3, 101, 4)


def test_what_did_not_change_is_not_sent_again(client: TestClient, run: huelapse.Run) -> None:
    path = f"/{run_id(run)}/val/true/margin/summary.st"
    first = client.get(path)
    assert first.headers["content-encoding"] == "gzip"
    again = client.get(path, headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304


def test_a_run_that_grows_is_served_as_it_is_now(tmp_path: Path, bundle: None) -> None:
    committed = threading.Event()
    recorder = huelapse.Recorder(
        SmallNet(),
        tmp_path / "live",
        probe=batches(),
        classes=3,
        schedule=1,
        probe_budget=None,
        on_commit=lambda *_: committed.set(),
    )
    assert committed.wait(20)
    resources = Resources(huelapse.open(tmp_path / "live"))
    app = server.build_app(Shelf([resources.run]), token=TOKEN)
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}")
    client.cookies.set(f"huelapse-{PORT}", TOKEN)
    path = f"/{run_id(resources.run)}/manifest.json"
    assert client.get(path).json()["splits"][0]["snapshots"] == 1
    assert client.get(path).json()["state"] == "recording"
    recorder.step()
    recorder.close()
    assert client.get(path).json()["splits"][0]["snapshots"] == 2
    assert client.get(path).json()["state"] == "complete"


def test_a_writer_that_is_gone_is_told_although_nothing_was_committed(
    tmp_path: Path, bundle: None
) -> None:
    store = begin(tmp_path / "run")
    store.commit(snapshot(0, Units.of([0] * 22), wall_time=1.7e9))
    run = huelapse.open(tmp_path / "run")
    app = server.build_app(Shelf([run]), token=TOKEN)
    client = TestClient(app, base_url="http://127.0.0.1")
    client.cookies.set("huelapse", TOKEN)
    paths = [f"/{run_id(run)}/{name}" for name in ("manifest.json", "live.json")]
    assert [client.get(path).json()["state"] for path in paths] == ["recording"] * 2
    store.abandon()
    assert [client.get(path).json()["state"] for path in paths] == ["interrupted"] * 2


# --- who may ask -------------------------------------------------------------------------------


def plain(client: TestClient) -> TestClient:
    return TestClient(client.app, base_url=f"http://127.0.0.1:{PORT}", follow_redirects=False)


def test_without_the_token_there_is_nothing(client: TestClient, run: huelapse.Run) -> None:
    stranger = plain(client)
    for path in ("/", "/main.js", "/runs.json", f"/{run_id(run)}/manifest.json"):
        assert stranger.get(path).status_code == 403, path
        wrong = stranger.get(path, headers={"cookie": f"huelapse-{PORT}=wrong"})
        assert wrong.status_code == 403
        assert stranger.get(path, params={"token": "wrong"}).status_code == 403


def test_other_servers_odd_cookies_do_not_lock_the_user_out(client: TestClient) -> None:
    visitor = plain(client)
    for odd in ('other={"a": 1}', "foo=bar baz", "a@b=1", "[x]=1", "=", ";;"):
        cookie = f"{odd}; huelapse-{PORT}={TOKEN}"
        assert visitor.get("/runs.json", headers={"cookie": cookie}).status_code == 200, odd


def test_a_run_that_is_deleted_is_an_answer_not_a_crash(tmp_path: Path, bundle: None) -> None:
    path = tmp_path / "run"
    huelapse.Recorder(SmallNet(), path, probe=batches(), classes=3).close()
    run = huelapse.open(path)
    client = TestClient(server.build_app(Shelf([run]), token=TOKEN), base_url="http://localhost")
    client.cookies.set("huelapse", TOKEN)
    shutil.rmtree(path)
    answer = client.get(f"/{run_id(run)}/manifest.json")
    assert answer.status_code == 500
    assert "moved or deleted" in answer.text


def test_the_token_is_taken_once_and_leaves_the_address(client: TestClient) -> None:
    visitor = plain(client)
    answer = visitor.get("/", params={"token": TOKEN})
    assert answer.status_code == 303
    assert "token" not in answer.headers["location"]
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    page = visitor.get("/", headers={"cookie": f"huelapse-{PORT}={TOKEN}"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["content-security-policy"] == POLICY
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "unsafe" not in POLICY


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_only_get_and_head_are_answered(client: TestClient, method: str) -> None:
    assert client.request(method, "/runs.json").status_code == 405


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8765", True),
        ("localhost:9999", True),
        ("[::1]:8765", True),
        ("LOCALHOST", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example:8765", False),
        ("127.0.0.1:8765@evil.example", False),
        ("", False),
    ],
)
def test_only_loopback_hosts_are_answered(client: TestClient, host: str, allowed: bool) -> None:
    # the cookie is called after the port that the browser sees
    cookies = f"huelapse={TOKEN}; huelapse-{PORT}={TOKEN}; huelapse-9999={TOKEN}"
    answer = plain(client).get("/runs.json", headers={"host": host, "cookie": cookies})
    assert (answer.status_code == 200) == allowed
    if not allowed:
        assert answer.status_code == 421


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("viewer.example.org", True),
        ("Viewer.Example.org:443", True),
        ("127.0.0.1:8765", True),
        ("other.example.org", False),
        ("example.org", False),
        ("viewer.example.org.evil.example", False),
    ],
)
def test_a_proxys_name_is_answered_to_when_allowed(
    run: huelapse.Run, bundle: None, host: str, allowed: bool
) -> None:
    names = [host_name("Viewer.Example.ORG")]
    client = TestClient(server.build_app(Shelf([run]), token=TOKEN, hosts=names))
    cookies = "; ".join(f"huelapse{port}={TOKEN}" for port in ("", "-443", "-8765"))
    answer = client.get("/runs.json", headers={"host": host, "cookie": cookies})
    assert answer.status_code == (200 if allowed else 421)
    if not allowed:
        assert "--allow-host" in answer.text
    # an old browser, and a proxy that puts its own Host
    headers = {"host": "127.0.0.1:8765", "origin": f"http://{host}", "cookie": cookies}
    assert client.get("/runs.json", headers=headers).status_code == (200 if allowed else 403)


@pytest.mark.parametrize(
    "bad", ["https://viewer.example.org", "*", "*.example.org", "", "a b", "x/y", "a:b", "-a"]
)
def test_what_is_no_name_of_a_host_is_refused(bad: str) -> None:
    with pytest.raises(OptionError, match="is no host name"):
        host_name(bad)


def test_cookies_of_two_tunnels_are_kept_apart(client: TestClient) -> None:
    """Viewers on two machines, both at 8765 there, tunnelled to two ports here: one jar."""
    visitor = plain(client)
    for port in (8765, 9000):
        answer = visitor.get("/", params={"token": TOKEN}, headers={"host": f"localhost:{port}"})
        assert answer.headers["set-cookie"].startswith(f"huelapse-{port}=")
    jar = f"huelapse-9000=of-the-other; huelapse-8765={TOKEN}"
    for port, status in ((8765, 200), (9000, 403)):
        headers = {"host": f"localhost:{port}", "cookie": jar}
        assert visitor.get("/runs.json", headers=headers).status_code == status
    both = f"huelapse-8765=of-the-folder-above; huelapse-8765={TOKEN}"
    assert visitor.get("/runs.json", headers={"cookie": both}).status_code == 200


@pytest.mark.parametrize(
    ("headers", "path", "status"),
    [
        ({"sec-fetch-site": "cross-site"}, "/runs.json", 403),
        ({"sec-fetch-site": "same-site"}, "/runs.json", 403),
        ({"sec-fetch-site": "same-origin"}, "/runs.json", 200),
        ({"sec-fetch-site": "none"}, "/", 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "/", 200),
        ({"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}, "/runs.json", 403),
        ({"origin": "http://evil.example"}, "/runs.json", 403),
        ({"origin": "null"}, "/runs.json", 403),
        ({"origin": "http://127.0.0.1:8765"}, "/runs.json", 200),
        ({"origin": "http://127.0.0.1:9999"}, "/runs.json", 403),
        # behind a proxy that puts its own Host
        (
            {"origin": "https://viewer.example.org", "sec-fetch-site": "same-origin"},
            "/runs.json",
            200,
        ),
        ({"origin": "http://viewer.example.org"}, "/runs.json", 403),
        (
            {"origin": "http://127.0.0.1:8765", "sec-fetch-site": "cross-site"},
            "/runs.json",
            403,
        ),
    ],
)
def test_other_sites_are_refused(
    client: TestClient, headers: dict[str, str], path: str, status: int
) -> None:
    assert client.get(path, headers=headers).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/main.js/../../server.py",
        "/bundle.json%00.js",
        "//etc/passwd",
        "/{id}/../../lock",
        "/{id}/val/true/margin/paint/-1.st",
        "/{id}/val/true/margin/paint/99999999999999999999.st",
        "/{id}/val/true/margin/paint/٣.st",
        "/{id}/val/nothing/margin/summary.st",
        "/{id}/nothing/true/margin/summary.st",
        "/{id}/val/true/nothing/summary.st",
        "/{id}/val/true/margin/unit/1e3.st",
        "/ffffffffffff/manifest.json",
        "/{id}",
    ],
)
def test_no_request_reaches_the_disk(client: TestClient, run: huelapse.Run, path: str) -> None:
    answer = client.get(path.format(id=run_id(run)))
    assert answer.status_code == 404, answer.text[:200]
    assert "Traceback" not in answer.text


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"port {port} on 127.0.0.1.*--port"):
            server.listen(port)


def test_without_a_port_the_first_free_one_is_taken() -> None:
    with server.listen(None) as first, server.listen(None) as second:
        assert first.getsockname()[1] < second.getsockname()[1]
        assert first.getsockname()[0] == "127.0.0.1"


def test_a_path_that_is_no_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match="holds no run"):
        server.serve(tmp_path)


def test_a_damaged_run_is_an_answer_not_a_crash(tmp_path: Path, bundle: None) -> None:
    path = tmp_path / "run"
    huelapse.Recorder(SmallNet(), path, probe=batches(), classes=3).close()
    run = huelapse.open(path)
    for shard in (path / "run.zarr/val/true/mean").glob("c.*"):
        shard.write_bytes(b"nonsense")
    client = TestClient(server.build_app(Shelf([run]), token=TOKEN), base_url="http://localhost")
    client.cookies.set("huelapse", TOKEN)
    answer = client.get(f"/{run_id(run)}/val/true/heat/0/0.st")
    assert answer.status_code == 422
    assert "cannot be read" in answer.text
    assert json.loads(client.get(f"/{run_id(run)}/manifest.json").text)["name"] == "run"


def test_a_snapshot_without_its_confusion_is_shown_without_accuracy(
    tmp_path: Path, run: huelapse.Run, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(run.path, tmp_path / "damaged")
    (tmp_path / "damaged/run.zarr/val/true/confusion/c.3.0.0").unlink()
    resources = Resources(huelapse.open(tmp_path / "damaged"))
    scalars = load(resources.get("val/scalars.st")[0])
    assert np.flatnonzero(np.isnan(scalars["accuracy"])).tolist() == [3]
    assert scalars["step"].tolist() == list(range(21))
    assert "missing or damaged" in caplog.text
    found = load(resources.get("val/confusion.st")[0])
    assert np.flatnonzero(found["damaged"]).tolist() == [3]
    assert not found["confusion"][3].any() and not found["samples"][3].any()
    whole = np.arange(21) != 3
    np.testing.assert_array_equal(found["confusion"][whole], run.confusion()[whole])
    with pytest.raises(FormatError, match="missing or damaged"):
        resources.get("val/confusion/3.st")
