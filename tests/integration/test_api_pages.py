"""The web page: one file with a fresh nonce per answer, assets that never change, and no page for an API path."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx2
import pytest
from tests.integration.support_api import Api, api, problem, running_api

from aegis.storage.embedded import EmbeddedPostgres

__all__ = ["api"]
pytestmark = pytest.mark.integration
SCRIPT = "console.log('a page');\n" * 200


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx2.Client]:
    directory = tmp_path_factory.mktemp("pages")
    assets = directory / "static" / "assets"
    assets.mkdir(parents=True)
    (directory / "static" / "index.html").write_text('<meta name="csp-nonce" content="__CSP_NONCE__">Aegis')
    (directory / "static" / "secret.txt").write_text("outside of assets")
    (assets / "app-1a2b.js").write_text(SCRIPT)
    (assets / "icon.svg").write_text("<svg/>")
    with running_api(postgres, directory) as made, httpx2.Client(base_url=made.url, trust_env=False) as client:
        yield client


@pytest.mark.parametrize("path", ["/", "/incidents", "/incidents/inc_1?tab=plan", "/favicon.ico", "/a/b/c"])
def test_every_other_path_is_the_page_with_a_nonce_of_its_own(site: httpx2.Client, path: str) -> None:
    nonces = set()
    for _ in range(3):
        answer = site.get(path)
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        shown = re.search(r'content="([^"]{20,})"', answer.text)
        assert shown is not None
        assert f"style-src 'self' 'nonce-{shown[1]}'" in answer.headers["content-security-policy"]
        nonces.add(shown[1])
    assert len(nonces) == 3


def test_assets_are_kept_forever_and_sent_small(site: httpx2.Client) -> None:
    packed = site.get("/assets/app-1a2b.js")
    assert packed.text == SCRIPT
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-type"].startswith("text/javascript")
    plain = site.get("/assets/app-1a2b.js", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == SCRIPT
    assert site.get("/assets/icon.svg").headers["content-type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/none.js",
        "/assets/",
        "/assets/../secret.txt",
        "/assets/..%2fsecret.txt",
        "/assets/%2e%2e/index.html",
        "/assets//etc/passwd",
        "/assets/" + "a" * 300,
        "/assets/" + "a/" * 5000,
    ],
)
def test_nothing_outside_of_assets_is_served_as_one(site: httpx2.Client, path: str) -> None:
    request = site.build_request("GET", "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    answer = site.send(request)
    assert "outside of assets" not in answer.text
    assert "root:" not in answer.text
    assert answer.status_code == 404 or answer.headers["content-type"].startswith("text/html")


def test_a_head_is_answered_like_a_get_without_its_body(site: httpx2.Client) -> None:
    for path in ("/", "/assets/app-1a2b.js"):
        answer = site.head(path)
        assert (answer.status_code, answer.content) == (200, b"")


def test_an_unknown_api_path_is_no_page(site: httpx2.Client) -> None:
    problem(site.get("/api/v1/nothing", headers={"Accept": "text/html"}), 404, "no_such_route")


def test_the_page_takes_no_writes(site: httpx2.Client) -> None:
    problem(site.post("/incidents", json={}), 404, "no_such_route")


def test_a_page_that_is_not_built_says_how_to_build_it(api: Api) -> None:
    answer = httpx2.get(f"{api.url}/incidents", trust_env=False)
    assert answer.status_code == 503
    assert "make up" in answer.text
    assert api.as_("viewer").get("/state").is_success
