"""The simulators' page in a real browser: a developer plays the customer."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import running_browser
from tests.services.simulators.conftest import ClickPesa, running

pytestmark = [pytest.mark.browser]
FORGED = "<img src=x onerror=\"document.title='broken'\">"


@pytest.fixture(scope="module")
def clickpesa() -> Iterator[ClickPesa]:
    with running({"SIMULATOR_CLICKPESA_CALLBACK_URL": "", "SIMULATOR_ASK_TIMEOUT": "60"}) as simulator:
        caller = ClickPesa(simulator=simulator)
        caller.sign_in()
        yield caller


@pytest.fixture(scope="module")
def page(clickpesa: ClickPesa) -> Iterator[Page]:
    with running_browser() as browser:
        found = browser.new_page()
        found.set_default_timeout(8000)
        yield found


@pytest.fixture
def errors(page: Page) -> Iterator[list[str]]:
    """What the page complained about; nothing is expected to."""
    found: list[str] = []
    page.on("pageerror", lambda error: found.append(str(error)))
    yield found
    assert found == []


def test_a_developer_plays_the_customer(clickpesa, page, errors):
    page.goto(clickpesa.simulator.url)
    page.get_by_role("button", name="by me").click()
    clickpesa.initiate(clickpesa.order("ORD1"))
    clickpesa.initiate(clickpesa.order("ORD2"))

    asked = page.locator(".ask", has_text="ORD1")
    expect(asked).to_contain_text("TZS 5,000")
    asked.get_by_role("button", name="Approve").click()
    page.locator(".ask", has_text="ORD2").get_by_role("button", name="Decline").click()

    expect(page.locator("tr", has_text="ORD1")).to_contain_text("SUCCESS")
    expect(page.locator("tr", has_text="ORD2")).to_contain_text("FAILED")
    expect(page.locator(".call", has_text="initiate-ussd-push-request")).to_have_count(2)
    assert [clickpesa.simulator.charge(reference)["captured"] for reference in ("ORD1", "ORD2")] == [1, 0]


def test_a_fault_is_queued_for_the_next_call(clickpesa, page, errors):
    page.goto(f"{clickpesa.simulator.url}/simulator/#Faults")
    page.get_by_label("Call", exact=True).first.select_option("push")
    page.get_by_label("Fault", exact=True).first.select_option("error_before")
    page.get_by_role("button", name="Queue").first.click()
    expect(page.locator("#tab")).to_contain_text("error before")

    assert clickpesa.initiate(clickpesa.order("ORD3")).status_code == 500

    expect(page.locator("#tab")).to_contain_text("Nothing queued.")


def test_what_callers_write_is_shown_and_never_run(clickpesa, page, errors):
    clickpesa.simulator.control("charges/clickpesa/invent", reference=FORGED, amount=700, phone=FORGED, kind="card")
    charge = clickpesa.simulator.charge(FORGED)

    page.goto(f"{clickpesa.simulator.url}/simulator/#Charges")
    expect(page.locator("tr", has_text="TZS 700")).to_contain_text(FORGED)
    assert page.locator("img").count() == 0
    page.goto(f"{clickpesa.simulator.url}/pay/clickpesa/{charge['id']}")

    expect(page.locator("main")).to_contain_text(FORGED)
    assert page.title() == "Pay TZS 700"


def test_a_phone_shows_its_texts_newest_last_and_texts_back(clickpesa, page, errors):
    simulator = clickpesa.simulator
    for text in ("The first", FORGED):
        form = {"username": "sandbox", "to": "+254712345678", "message": text, "from": "FARAJA"}
        headers = {"apiKey": "demo-africastalking-key", "Accept": "application/json"}
        sent = httpx.post(f"{simulator.url}/africastalking/version1/messaging", data=form, headers=headers)
        assert sent.status_code == 201, sent.text
    page.goto(f"{simulator.url}/simulator/#Phones")

    phone = page.locator(".phone", has_text="+254712345678")
    expect(phone.locator(".sms")).to_have_text(["The first", FORGED])
    expect(phone.locator(".bubble").first).to_contain_text("FARAJA")
    expect(phone.locator(".bubble").first).to_contain_text("delivered")
    phone.get_by_label("Text back from +254712345678").fill("STOP")
    phone.get_by_role("button", name="Send").click()

    expect(phone.locator(".ours .sms")).to_have_text("STOP")
    [answer] = [text for text in httpx.get(f"{simulator.url}/simulator/texts").json()["texts"] if text["is_inbound"]]
    assert (answer["text"], answer["phone"], answer["provider"]) == ("STOP", "254712345678", "africastalking")
