"""Sessions in a real browser, under production's settings behind TLS: what cookies do is decided there, not here.

The pages run the client of the guide, `docs/sessions.md`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.site import Site, Sites, running_browser, running_sites
from tests.e2e.kits import PASSWORD

pytestmark = [pytest.mark.browser, pytest.mark.stack, pytest.mark.postgresql]
ROUNDS = 5
TOKENS = ("access", "refresh", "csrf")

# Gives the page `session` (the guide's client), `ended` (why it had to start again), and `ask`, a bare request.
PREPARE = """
async ([base, transport]) => {
  const { Session } = await import("/session.js");
  window.base = base;
  window.ended = [];
  window.session = new Session(base, transport, (code) => window.ended.push(code));
  window.ask = async (method, path, { headers = {}, body = null, ...options } = {}) => {
    try {
      const answer = await fetch(path.startsWith("http") ? path : base + path,
        { method, headers, body, credentials: "include", ...options });
      if (answer.type === "opaque") return { status: "opaque" };
      return { status: answer.status, headers: Object.fromEntries(answer.headers), ...await answer.json(),
               http: answer.status };
    } catch (error) {
      return { http: null, code: String(error) };
    }
  };
}
"""


@pytest.fixture(scope="module")
def sites() -> Iterator[Sites]:
    with running_sites() as found:
        yield found


@pytest.fixture(scope="module")
def browser(sites: Sites) -> Iterator[Browser]:
    with running_browser() as found:
        yield found


class Profile:
    """A person's browser. It is kept for all tests, and so are its tabs: making one takes longer than a test."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self._unused: list[Page] = []

    def begin(self) -> None:
        """As it was when it was new: no cookies, and no tab in use."""
        self.context.clear_cookies()
        self._unused = list(self.context.pages)

    def tab(self) -> Page:
        return self._unused.pop(0) if self._unused else self.context.new_page()

    def forget(self, cookie: str) -> None:
        self.context.clear_cookies(name=cookie)


@pytest.fixture(scope="module")
def kept_profile(browser: Browser) -> Iterator[Profile]:
    context = browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(15_000)
    yield Profile(context)
    context.close()


@pytest.fixture
def profile(kept_profile: Profile) -> Profile:
    kept_profile.begin()
    return kept_profile


@pytest.fixture
def email(sites: Sites) -> str:
    return sites.new_person()


def open_tab(profile: Profile, site: Site, transport: str, *, origin: str = "") -> Page:
    """A page of the frontend (or of `origin`), with the guide's client in it."""
    page = profile.tab()
    page.goto(origin or site.app)
    page.evaluate(PREPARE, [site.v1, transport])
    return page


def sign_in(page: Page, email: str) -> None:
    page.evaluate("([email, password]) => session.login(email, password)", [email, PASSWORD])


def ask(page: Page, method: str, path: str, **options: Any) -> dict[str, Any]:
    """A bare request with cookies, and its envelope. `http` is None when the browser refused it."""
    answer: dict[str, Any] = page.evaluate("([m, p, o]) => ask(m, p, o)", [method, path, options])
    return answer


def me(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate("session.request('GET', '/auth/me/')")
    return found


def rename(page: Page, name: str) -> str:
    """Change the person's first name with the guide's client, and tell what it is then."""
    changed = page.evaluate("(name) => session.request('PATCH', '/auth/me/', { first_name: name })", name)
    return str(changed["first_name"])


def jar(profile: Profile) -> dict[str, Any]:
    return {cookie["name"]: cookie for cookie in profile.context.cookies()}


def proof(page: Page) -> str:
    return str(page.evaluate("session.csrf"))


def at_once(tabs: list[Page], script: str) -> list[Any]:
    """Run the asynchronous `script` in all tabs at the same moment, and tell how each ended."""
    moment = time.time() * 1000 + 60
    for tab in tabs:
        tab.evaluate(
            f"(moment) => {{ window.outcome = new Promise((go) => setTimeout(go, moment - Date.now()))"
            f".then(async () => {script}).catch((error) => String(error)); }}",
            moment,
        )
    return [tab.evaluate("outcome") for tab in tabs]


# --- All tokens in cookies ------------------------------------------------------------------------------------------


@pytest.mark.invariant("I51")
@pytest.mark.parametrize("name", ["production", "development"])
def test_a_page_of_the_same_site_signs_in_with_cookies(sites, profile, email, name):
    site: Site = getattr(sites, name)
    page = open_tab(profile, site, "cookies")

    answer = page.evaluate(
        "(body) => session.send('POST', '/auth/login/', body).then((data) => (session.keep(data), data))",
        {"email": email, "password": PASSWORD, "transport": "cookies"},
    )

    assert (answer["access"], answer["refresh"]) == (None, None)
    assert me(page)["email"] == email
    assert rename(page, "Neema") == "Neema"
    cookies = jar(profile)
    access, refresh, csrf = (cookies[site.prefix[token] + token] for token in TOKENS)
    is_secure = name == "production"
    assert [cookie["secure"] for cookie in (access, refresh, csrf)] == [is_secure] * 3
    assert (access["httpOnly"], access["sameSite"], access["path"]) == (True, "Lax", "/")
    assert (refresh["httpOnly"], refresh["sameSite"], refresh["path"]) == (True, "Strict", "/api/v1/auth/")
    assert (csrf["httpOnly"], csrf["sameSite"], csrf["path"]) == (False, "Lax", "/")
    assert csrf["value"] == answer["csrf_token"]
    # Even a script on the API's own host sees only the half of the proof.
    page.goto(f"{site.api}/health/live")
    assert page.evaluate("document.cookie") == f"{csrf['name']}={csrf['value']}"


@pytest.mark.invariant("I50")
def test_a_change_needs_the_proof(sites, profile, email):
    page = open_tab(profile, sites.production, "cookies")
    sign_in(page, email)
    change = {"body": '{"first_name": "Neema"}'}
    json = {"Content-Type": "application/json"}

    def patch(**headers: str) -> tuple[int, str | None]:
        answer = ask(page, "PATCH", "/auth/me/", headers=json | headers, **change)
        return answer["http"], answer.get("code")

    assert patch() == (403, "csrf_failed")
    assert patch(**{"X-CSRF-Token": proof(page) + "0"}) == (403, "csrf_failed")
    assert sites.first_name(email) == ""
    assert patch(**{"X-CSRF-Token": proof(page)}) == (200, None)
    assert sites.first_name(email) == "Neema"


@pytest.mark.invariant("I39")
@pytest.mark.parametrize("transport", ["cookies", "refresh_cookie"])
def test_two_tabs_that_refresh_at_once_both_go_on(sites, profile, email, transport):
    first = open_tab(profile, sites.production, transport)
    sign_in(first, email)
    second = open_tab(profile, sites.production, transport)
    assert second.evaluate("session.start()") is True
    tabs = [first, second]

    for turn in range(ROUNDS):
        refreshed = at_once(tabs, "{ await session.refresh(); return 'refreshed'; }")
        assert refreshed == ["refreshed"] * 2, turn
        for number, tab in enumerate(tabs):
            assert rename(tab, f"Neema {turn}.{number}") == f"Neema {turn}.{number}"

    (row,) = sites.sessions(email)
    assert row["revoked_at"] is None
    # Where the two really met, they moved the session by one generation together.
    assert row["generation"] <= 2 + 2 * ROUNDS
    assert [tab.evaluate("ended") for tab in tabs] == [[], []]
    first.reload()
    first.evaluate(PREPARE, [sites.production.v1, transport])
    assert first.evaluate("session.start()") is True


def test_an_access_cookie_that_is_over_is_replaced_once_for_all_who_wait(sites, profile, email):
    tabs = [open_tab(profile, sites.production, "cookies")]
    sign_in(tabs[0], email)
    tabs.append(open_tab(profile, sites.production, "cookies"))
    assert tabs[1].evaluate("session.start()") is True
    refreshes: list[str] = []
    for tab in tabs:
        tab.on("request", lambda sent: refreshes.append(sent.url) if sent.url.endswith("/auth/refresh/") else None)
    profile.forget("__Host-access")

    asked = "Promise.all([1, 2, 3].map(() => session.request('PATCH', '/auth/me/', { last_name: 'Juma' })))"
    answers = at_once(tabs, f"(await {asked}).map((data) => data.last_name)")

    assert answers == [["Juma"] * 3] * 2
    # Each tab at most once; the second may have found the cookie that the first one got.
    assert 1 <= len(refreshes) <= 2
    assert [row["revoked_at"] for row in sites.sessions(email)] == [None]


def test_a_page_that_is_loaded_anew_is_still_signed_in(sites, profile, email):
    page = open_tab(profile, sites.production, "cookies")
    sign_in(page, email)

    page.reload()
    page.evaluate(PREPARE, [sites.production.v1, "cookies"])

    assert page.evaluate("session.start()") is True
    assert rename(page, "Neema") == "Neema"
    profile.forget("__Host-csrf")
    page.reload()
    page.evaluate(PREPARE, [sites.production.v1, "cookies"])
    assert page.evaluate("session.start()") is True
    assert rename(page, "Asha") == "Asha"


@pytest.mark.invariant("I43")
def test_signing_out_in_one_tab_ends_the_other(sites, profile, email):
    first = open_tab(profile, sites.production, "cookies")
    sign_in(first, email)
    second = open_tab(profile, sites.production, "cookies")
    assert second.evaluate("session.start()") is True

    first.evaluate("session.logout()")

    assert jar(profile) == {}
    second.wait_for_function("ended.length")
    assert second.evaluate("ended") == ["changed_in_another_tab"]
    assert second.evaluate("session.request('GET', '/auth/me/').catch((error) => error.code)") == "not_authenticated"
    assert second.evaluate("session.start()") is False
    assert [row["revoked_reason"] for row in sites.sessions(email)] == ["logout"]


# --- A refresh that comes late --------------------------------------------------------------------------------------


@pytest.fixture
def late(sites: Sites, profile: Profile, email: str) -> tuple[Page, Page]:
    """Two tabs of one session; the second one's requests pass the gate, on a connection that stands already."""
    tabs = [open_tab(profile, sites.production, "refresh_cookie") for _ in range(2)]
    sign_in(tabs[0], email)
    tabs[1].evaluate("(slow) => { session.base = slow; }", sites.slow_v1)
    assert ask(tabs[1], "GET", f"{sites.slow_v1}/auth/csrf/")["http"] == 200
    return tabs[0], tabs[1]


def hold_a_refresh(sites: Sites, tab: Page) -> None:
    """Send a refresh with the cookies of this moment; it stays at the gate."""
    tab.evaluate("() => { window.outcome = ask('POST', session.base + '/auth/refresh/'); }")
    sites.gate.await_request()


@pytest.mark.invariant("I40")
def test_a_refresh_whose_answer_is_lost_is_made_good_by_the_next(sites, profile, email, late):
    _first, tab = late
    sites.gate.to_lose = 2  # the browser itself repeats the first, on a new connection

    tab.evaluate("session.refresh()")

    assert sites.gate.to_lose == 0
    assert [(row["generation"], row["revoked_at"]) for row in sites.sessions(email)] == [(2, None)]
    assert me(tab)["email"] == email
    tab.evaluate("session.refresh()")


@pytest.mark.invariant("I42")
def test_a_refresh_that_lost_the_race_gets_the_winners_token(sites, profile, email, late):
    winner, loser = late
    with sites.gate.holding():
        hold_a_refresh(sites, loser)
        winner.evaluate("session.refresh()")
        won = jar(profile)

    answer = loser.evaluate("outcome")

    assert answer["http"] == 200
    assert jar(profile)["__Secure-refresh"]["value"] == won["__Secure-refresh"]["value"]
    assert [row["generation"] for row in sites.sessions(email)] == [2]
    assert me(winner)["email"] == email
    winner.evaluate("session.refresh()")


@pytest.mark.invariant("I42")
def test_a_late_refresh_of_an_ended_session_leaves_the_new_ones_cookies_alone(sites, profile, email, late):
    winner, loser = late
    with sites.gate.holding():
        hold_a_refresh(sites, loser)
        winner.evaluate("session.logout()")
        sign_in(winner, email)
        won = jar(profile)

    answer = loser.evaluate("outcome")

    assert (answer["http"], answer["code"]) == (401, "session_revoked")
    assert jar(profile) == won
    winner.evaluate("session.refresh()")
    assert rename(winner, "Neema") == "Neema"


@pytest.mark.invariant("I42")
def test_a_refresh_that_comes_after_the_grace_ends_the_session_and_clears_nothing(sites, profile, email, late):
    winner, loser = late
    with sites.gate.holding():
        hold_a_refresh(sites, loser)
        winner.evaluate("session.refresh()")
        won = jar(profile)
        sites.let_the_grace_end(email)

    answer = loser.evaluate("outcome")

    assert (answer["http"], answer["code"]) == (401, "refresh_reused")
    assert jar(profile) == won
    assert winner.evaluate("session.request('GET', '/auth/me/').catch((error) => error.code)") == "refresh_reused"
    assert winner.evaluate("ended") == ["refresh_reused"]


# --- The access token in memory -------------------------------------------------------------------------------------


def test_an_access_token_in_memory_leaves_no_trace_and_survives_a_reload(sites, profile, email):
    page = open_tab(profile, sites.production, "refresh_cookie")
    sign_in(page, email)
    access = page.evaluate("session.access")

    assert len(access) > 100
    assert set(jar(profile)) == {"__Secure-refresh"}
    assert page.evaluate("[document.cookie, localStorage.length, sessionStorage.length]") == ["", 0, 0]
    # The cookie alone opens nothing but the auth endpoints.
    assert ask(page, "GET", "/auth/me/")["code"] == "not_authenticated"
    page.reload()
    page.evaluate(PREPARE, [sites.production.v1, "refresh_cookie"])
    assert page.evaluate("session.access") is None
    assert page.evaluate("session.start()") is True
    assert me(page)["email"] == email


def test_a_request_is_not_repeated_in_the_organisation_that_another_tab_has_switched_to(sites, profile, email):
    first = open_tab(profile, sites.production, "refresh_cookie")
    sign_in(first, email)
    second = open_tab(profile, sites.production, "refresh_cookie")
    second.evaluate("() => { session.otherTabs.close(); return session.start(); }")
    shop = first.evaluate("session.request('POST', '/tenants/', { name: 'Duka' })")
    first.evaluate("(id) => session.switchTenant(id)", shop["id"])

    renamed = second.evaluate("session.request('PATCH', '/tenants/current/', { name: 'Wrong' }).catch((e) => e.code)")

    assert renamed == "token_expired"
    assert second.evaluate("ended") == ["changed_in_another_tab"]
    assert first.evaluate("session.request('GET', '/tenants/current/')")["name"] == "Duka"


# --- Pages of somebody else -----------------------------------------------------------------------------------------

FORMS = [
    ("auth/logout/", "application/x-www-form-urlencoded", {}),
    ("auth/refresh/", "application/x-www-form-urlencoded", {}),
    ("auth/change-password/", "multipart/form-data", {"current_password": PASSWORD}),
    # A form can write JSON, if nobody minds its type.
    ("tenants/", "text/plain", {'{"name": "Mallory", "a": "': '"}'}),
]
POST_FORM = """
([action, enctype, fields]) => {
  const form = Object.assign(document.createElement("form"), { method: "POST", action, enctype });
  for (const [name, value] of Object.entries(fields)) {
    form.append(Object.assign(document.createElement("input"), { type: "hidden", name, value }));
  }
  document.body.append(form);
  form.submit();
}
"""


def post_form(page: Page, action: str, enctype: str, fields: dict[str, str]) -> tuple[int, str]:
    """Submit a form as a page may, to wherever it likes: status and code of the answer that replaces the page."""
    with page.expect_navigation() as arriving:
        page.evaluate(POST_FORM, [action, enctype, fields])
    answer = arriving.value
    return answer.status, answer.json()["code"]


@pytest.mark.invariant("I50")
@pytest.mark.parametrize(
    ("whose", "transport", "codes"),
    [
        # SameSite keeps every cookie at home, so nobody in particular is asking.
        ("evil", "cookies", ["csrf_failed", "not_authenticated", "not_authenticated", "not_authenticated"]),
        # The cookies come along, and the list of origins refuses.
        ("blog", "cookies", ["csrf_failed"] * 4),
        ("blog", "refresh_cookie", ["csrf_failed", "csrf_failed", "not_authenticated", "not_authenticated"]),
    ],
    ids=["another site", "another host of the site", "another host of the site, access token in memory"],
)
def test_a_form_of_another_page_is_refused_and_changes_nothing(sites, profile, email, whose, transport, codes):
    page = open_tab(profile, sites.production, transport)
    sign_in(page, email)
    before, rows = jar(profile), sites.sessions(email)
    other = profile.tab()

    found = []
    for path, enctype, fields in FORMS:
        other.goto(getattr(sites, whose))
        found.append(post_form(other, f"{sites.production.v1}/{path}", enctype, fields))

    assert found == [(403 if code == "csrf_failed" else 401, code) for code in codes]
    assert jar(profile) == before
    assert sites.sessions(email) == rows
    assert len(page.evaluate("session.request('GET', '/tenants/')")["results"]) == 1
    assert rename(page, "Neema") == "Neema"


@pytest.mark.invariant("I50")
def test_a_script_of_another_page_is_refused_and_reads_nothing(sites, profile, email):
    page = open_tab(profile, sites.production, "cookies")
    sign_in(page, email)
    before, rows = jar(profile), sites.sessions(email)

    for origin in (sites.evil, sites.blog):
        other = open_tab(profile, sites.production, "cookies", origin=origin)
        json = {"Content-Type": "application/json", "X-CSRF-Token": proof(page)}
        refused = [
            ask(other, "GET", "/auth/me/"),
            ask(other, "GET", "/auth/csrf/"),
            ask(other, "POST", "/auth/refresh/"),
            ask(other, "PATCH", "/auth/me/", headers=json, body='{"first_name": "Mallory"}'),
        ]
        assert [answer["http"] for answer in refused] == [None] * 4, origin
        # Without asking for the answer a browser sends it, and it does nothing.
        for path in ("logout", "logout-all", "refresh"):
            assert ask(other, "POST", f"/auth/{path}/", mode="no-cors")["status"] == "opaque"

    assert jar(profile) == before
    assert sites.sessions(email) == rows
    assert sites.first_name(email) == ""
    assert rename(page, "Neema") == "Neema"


@pytest.mark.invariant("I50")
def test_a_page_of_somebody_else_cannot_sign_a_browser_in(sites, profile, email):
    other = open_tab(profile, sites.production, "cookies", origin=sites.evil)
    credentials = f'{{"email": "{email}", "password": "{PASSWORD}", "transport": "cookies"}}'
    json = {"Content-Type": "application/json"}

    assert ask(other, "POST", "/auth/login/", headers=json, body=credentials)["http"] is None
    assert ask(other, "POST", "/auth/login/", body=credentials, mode="no-cors")["status"] == "opaque"
    head, tail = f'{credentials[:-1]}, "a": "', '"}'
    answer = post_form(other, f"{sites.production.v1}/auth/login/", "text/plain", {head: tail})

    assert answer == (415, "unsupported_media_type")
    assert jar(profile) == {}
    assert sites.sessions(email) == []


def test_a_listed_page_of_another_site_learns_at_login_that_its_cookies_would_stay_away(sites, profile, email):
    """`localhost` and `127.0.0.1` are one computer and two sites."""
    site = sites.development
    page = open_tab(profile, site, "refresh_cookie", origin=site.app.replace("localhost", "127.0.0.1"))
    json = {"Content-Type": "application/json"}
    who = f'"email": "{email}", "password": "{PASSWORD}"'

    by_default = ask(page, "POST", "/auth/login/", headers=json, body=f"{{{who}}}")
    with_body = ask(page, "POST", "/auth/login/", headers=json, body=f'{{{who}, "transport": "body"}}')

    assert (by_default["http"], by_default["code"]) == (403, "csrf_failed")
    assert with_body["data"]["refresh"]
    assert jar(profile) == {}
    assert [row["transport"] for row in sites.sessions(email)] == ["body"]


# --- What a page may send and read ----------------------------------------------------------------------------------


def test_a_page_may_send_and_read_the_headers_that_the_api_uses(sites, profile, email):
    page = open_tab(profile, sites.production, "cookies")
    sign_in(page, email)
    headers = {
        "Content-Type": "application/json",
        "X-CSRF-Token": proof(page),
        "Idempotency-Key": "one wish",
        "Accept-Language": "sw",
        "X-Request-ID": "from-the-page",
    }
    wish = '{"amount": {"amount": 500000, "currency": "TZS"}, "phone": "0712345678", "gateway": "nobody"}'

    first = ask(page, "POST", "/payments/", headers=headers, body=wish)
    again = ask(page, "POST", "/payments/", headers=headers, body=wish)

    assert (first["http"], first["code"]) == (422, "gateway_not_enabled")
    assert first["message"] != ask(page, "POST", "/payments/", headers=headers | {"Accept-Language": "en"})["message"]
    assert first["headers"]["x-request-id"] == "from-the-page"
    assert again["headers"]["idempotent-replayed"] == "true"
    assert ask(page, "GET", "/auth/me/", headers={"X-Something": "else"})["http"] is None


def test_a_page_reads_how_long_to_wait(sites, profile, email):
    page = open_tab(profile, sites.production, "refresh_cookie")
    wrong = f'{{"email": "{email}", "password": "not-the-password"}}'
    json = {"Content-Type": "application/json"}

    answers = [ask(page, "POST", "/auth/login/", headers=json, body=wrong) for _ in range(6)]

    assert [answer["http"] for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1]["headers"]["retry-after"]) > 0
