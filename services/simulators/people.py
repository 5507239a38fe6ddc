"""Who can sign in at the simulated providers, and what goes wrong with some of them. The one table of it.

The code acts on these rows, the sign-in page lists them, and docs/simulators.md contains them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

GOOGLE, GITHUB, CHURCHSUITE = "google", "github", "churchsuite"
EVERYWHERE = (GOOGLE, GITHUB, CHURCHSUITE)


class Fault(StrEnum):
    """What goes wrong for a person."""

    NONE = ""
    DENIED = "denied"
    CODE_REFUSED = "code_refused"
    DOWN = "down"
    SLOW = "slow"
    MALFORMED = "malformed"
    PROFILE_DOWN = "profile_down"
    PROFILE_MALFORMED = "profile_malformed"
    NO_ID_TOKEN = "no_id_token"  # noqa: S105  a fault
    WRONG_ISSUER = "wrong_issuer"
    WRONG_AUDIENCE = "wrong_audience"
    WRONG_KEY = "wrong_key"
    UNKNOWN_KEY = "unknown_key"
    UNSIGNED = "unsigned"
    SYMMETRIC = "symmetric"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One row. `number` makes the provider's own id; `key` chooses the person (`?person=` at the sign-in page)."""

    key: str
    number: int
    description: str
    name: str = "Asha Mrema"
    email: str = ""
    is_verified: bool = False  # ChurchSuite verifies nobody's
    providers: tuple[str, ...] = EVERYWHERE
    status: str = "active"  # ChurchSuite only
    church: str = "st-mary"  # ChurchSuite only
    fault: Fault = Fault.NONE


PEOPLE = (
    Person(
        key="asha",
        number=101,
        email="asha.mrema@example.com",
        is_verified=True,
        description="An ordinary person; Google and GitHub vouch for the address.",
    ),
    Person(
        key="unverified",
        number=102,
        name="Juma Ally",
        email="juma.ally@example.com",
        description="The address is not verified.",
    ),
    Person(key="no-email", number=103, name="Neema", description="No address is told."),
    Person(
        key="demo",
        number=104,
        name="Demo Person",
        email="demo@faraja.test",
        is_verified=True,
        description="The address of the demo login, verified by Google and GitHub.",
    ),
    Person(
        key="impostor",
        number=105,
        name="Mallory",
        email="demo@faraja.test",
        description="Claims the address of the demo login; nobody has verified it.",
    ),
    Person(
        key="archived",
        number=106,
        email="archived@example.com",
        status="archived",
        providers=(CHURCHSUITE,),
        description="Archived in ChurchSuite.",
    ),
    Person(
        key="other-church",
        number=101,
        name="Baraka",
        email="baraka@example.com",
        church="st-john",
        providers=(CHURCHSUITE,),
        description="The same number as `asha`, in another church.",
    ),
    Person(key="denied", number=107, fault=Fault.DENIED, description="Does not agree: `error=access_denied`."),
    Person(
        key="code-refused", number=108, fault=Fault.CODE_REFUSED, description="The token endpoint refuses the code."
    ),
    Person(key="down", number=109, fault=Fault.DOWN, description="The token endpoint answers 500."),
    Person(
        key="slow", number=110, fault=Fault.SLOW, description="The token endpoint answers after SIMULATOR_HANG seconds."
    ),
    Person(
        key="malformed", number=111, fault=Fault.MALFORMED, description="The token endpoint answers 200 without JSON."
    ),
    Person(
        key="profile-down",
        number=112,
        fault=Fault.PROFILE_DOWN,
        description="Asking who it is answers 500 (Google: with no `id_token` before).",
    ),
    Person(
        key="profile-malformed",
        number=113,
        fault=Fault.PROFILE_MALFORMED,
        description="Asking who it is answers JSON of another shape (Google: with no `id_token` before).",
    ),
    Person(
        key="no-id-token",
        number=114,
        name="Rehema Said",
        email="rehema.said@example.com",
        is_verified=True,
        providers=(GOOGLE,),
        fault=Fault.NO_ID_TOKEN,
        description="No `id_token`; the userinfo endpoint tells who it is.",
    ),
    *(
        Person(
            key=fault.value.replace("_", "-"),
            number=115 + place,
            email="asha.mrema@example.com",
            is_verified=True,
            providers=(GOOGLE,),
            fault=fault,
            description=description,
        )
        for place, (fault, description) in enumerate(
            (
                (Fault.WRONG_ISSUER, "The `id_token` is from another issuer."),
                (Fault.WRONG_AUDIENCE, "The `id_token` is for another app."),
                (Fault.WRONG_KEY, "The `id_token` is signed with another key under the right key id."),
                (Fault.UNKNOWN_KEY, "The `id_token` names a key that is not published."),
                (Fault.UNSIGNED, "The `id_token` says `alg: none` and has no signature."),
                (Fault.SYMMETRIC, "The `id_token` is signed HS256 with the public key as the secret."),
                (Fault.EXPIRED, "The `id_token` expired an hour ago."),
            )
        )
    ),
)


def find_person(key: str, provider: str) -> Person | None:
    """The person whom `key` chooses at `provider`, or None."""
    return next((each for each in PEOPLE if each.key == key and provider in each.providers), None)
