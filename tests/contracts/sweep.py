"""The tenant sweep: every operation of the schema, asked by somebody of another tenant.

Each check returns what is wrong, in words, so that a test may as well demand that something is. The plan of an
operation (the request that succeeds, the rows that its path names) is RIGHT and ROWS of `test_routes`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.contracts.routes import METHODS
from tests.contracts.schema import Operation, put
from tests.contracts.test_routes import JUNK, RIGHT, ROWS, ask, made_up, quiet_client
from tests.contracts.world import CANARY, World, undone
from tests.envelope import faults_in
from tests.factories.accounts import Member

# Operations that are left out, and why. The list is printed by the run.
LEFT_OUT = {
    "gateway_callback": "a provider speaks, not a person of a tenant; the secret in the path says whose gateway it is",
    "email_report": "a provider speaks, not a person of a tenant; the secret in the path says whose account it is",
    "delivery_report": "a provider speaks, not a person of a tenant; the secret in the path says whose gateway it is",
}
# Reads that show a tenant no text or id of its own, and why; that they keep to its room is tested beside them.
SHOWS_NOTHING = {
    "gateways_list": "names of gateways in the settings, and whose account each is: own or shared",
    "gateway_account_get": "found by the gateway's name; tests/apps/payments/test_accounts.py asks as a stranger",
    "messaging_spend": "sums; tests/apps/messaging/test_messages_api.py asks as a stranger",
    "messaging_templates_list": "the platform's wordings, the same for every tenant",
    "messaging_template_get": "the platform's wordings, the same for every tenant",
    "notifications_unread_count": "a number; tests/apps/messaging/test_notifications.py asks as a stranger",
    "payments_balance": "what the gateway says that an account holds: numbers",
}
ROLE_CODES = {"admins_only", "owners_only"}
# Where a tenant might be named by somebody who hopes that it counts.
TENANT_HEADERS = (
    *("X-Tenant", "X-Tenant-Id", "X-Tenant-ID", "Tenant", "Tenant-Id", "X-Organisation", "X-Organization-Id"),
    *("X-Org-Id", "X-Account-Id", "X-Company", "X-Workspace-Id", "X-Schema", "X-Forwarded-Host", "X-Original-URL"),
)
TENANT_NAMES = ("tenant", "tenant_id", "organisation", "organization", "org", "account", "workspace")
# What a list might be asked for without the schema saying so.
HIDDEN_QUERIES = (
    *TENANT_NAMES,
    *("search", "q", "query", "filter", "ordering", "order_by", "sort", "id", "ids", "id__in", "user", "user_id"),
    *("started_by", "expand", "include", "fields", "format", "limit", "offset"),  # `page` is a parameter of every list
)


@dataclass(frozen=True)
class Asking:
    """One request, ready to be sent by anybody."""

    method: str
    path: str
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)

    def by(self, member: Member | None, **extra: str) -> Any:
        """The answer, of which nothing remains in the database."""
        with undone():
            return self.kept(member, **extra)

    def kept(self, member: Member | None, **extra: str) -> Any:
        return ask(quiet_client(member), self.method, self.path, self.body, **self.headers, **extra)


def right_request(operation: Operation, member: Member, **values: str) -> Asking:
    """What succeeds for `member`; `values` replace parameters of its path. Without a plan it fails by name."""
    right = RIGHT.get((operation.route.view_name, operation.method))
    assert right is not None, f"Say in RIGHT how {operation.method} {operation.path} succeeds"
    told = made_up(operation.route) | right.values(member) | values
    body = right.body(member) if right.body else b""
    return Asking(operation.method, operation.route.paths(told)[0] + right.query, body, right.headers())


def comparable(response: Any, *sent: str) -> tuple[int, bytes, dict[str, str]]:
    """An answer without the name of its request, and without what the request itself contained."""
    content = response.content
    for each in sent:
        content = content.replace(each.encode(), b"<sent>")
    headers = {name: value for name, value in response.headers.items() if name not in {"X-Request-ID", "Date"}}
    if sent:
        headers.pop("Content-Length", None)
    return response.status_code, content, headers


Check = Callable[[Operation, World], Iterator[str]]


def swept(operations: Iterable[Operation], world: World, checks: Sequence[Check]) -> Iterator[str]:
    """Every fault that `checks` find, each with the operation's name before it."""
    for operation in operations:
        if str(operation) not in LEFT_OUT:
            for check in checks:
                with undone():
                    found = list(check(operation, world))
                yield from (f"{operation}: {fault}" for fault in found)


# --- The checks ------------------------------------------------------------------------------------------------------


def own_rows_only(operation: Operation, world: World) -> Iterator[str]:
    """The right request succeeds and shows nothing of theirs; without that, equal refusals would prove nothing."""
    response = right_request(operation, world.ours).kept(world.ours)
    if response.status_code >= 400:
        yield f"the right request is answered {response.status_code} {response.content[:200]!r}"
    yield from (f"shows {leak} to a stranger" for leak in world.leaks_in(response.content + _headers(response)))


def their_ids_in_the_path(operation: Operation, world: World) -> Iterator[str]:
    """An id of theirs is answered like one that nobody has: with the right body and with junk."""
    names = [name for name in operation.route.converters if name in ROWS]
    if not names:
        return
    theirs, nobodys = {name: world.row_ids[name] for name in names}, {name: str(uuid.uuid4()) for name in names}
    right, random = right_request(operation, world.ours, **theirs), right_request(operation, world.ours, **nobodys)
    sent = [*theirs.values(), *nobodys.values()]
    askers = (world.ours, world.colleague)
    requests = [(operation.method, right.body, asker) for asker in askers]
    for body in (b"{}", JUNK["unknown fields"][0]):
        requests += [(operation.method, body, asker) for asker in (askers if world.is_thorough else askers[:1])]
    if world.is_thorough:
        requests += [(method, b"{}", asker) for method in METHODS for asker in askers]
    for method, body, asker in requests:
        foreign, unknown = (Asking(method, each.path, body, right.headers) for each in (right, random))
        with undone():
            answer = foreign.kept(asker)
            if body is right.body and world.has_changed():
                yield f"{method} with the right body changed a row of theirs"
        if comparable(answer, *sent) != comparable(unknown.by(asker), *sent):
            yield f"{method} with {body!r} tells their id from a random one"
        if asker is world.ours and body is right.body and answer.status_code != 404:
            yield f"their id with the right body is answered {answer.status_code}"


def their_ids_in_the_body(operation: Operation, world: World) -> Iterator[str]:
    """In every field that holds an id, however deep, and in fields that do not exist."""
    if "requestBody" not in operation.spec or operation.is_public:
        return
    right = right_request(operation, world.ours)
    ids = {"tenant": str(world.theirs.tenant_id), "person": str(world.theirs.user.pk)} | world.row_ids
    random = str(uuid.uuid4())

    def answer(body: Any, id_: str) -> tuple[Any, ...]:
        return comparable(Asking(right.method, right.path, body, right.headers).by(world.ours), id_)

    for path, schema in operation.body_fields():
        if schema.get("format") == "uuid":
            nobodys = answer(put(right.body, path, random), random)
            for kind, id_ in ids.items():
                if answer(put(right.body, path, id_), id_) != nobodys:
                    yield f"{'.'.join(path)} tells the id of their {kind} from a random one"
    known = right.body if isinstance(right.body, dict) else {}
    fields = {path[0] for path, _schema in operation.body_fields()}
    names = [name for name in ("user", "user_id", "owner", "created_by", "id", *TENANT_NAMES) if name not in fields]
    for chosen in [[name] for name in names] if world.is_thorough else [names]:
        for kind in ("tenant", "person"):
            of_theirs, of_nobody = (known | dict.fromkeys(chosen, each) for each in (ids[kind], random))
            if answer(of_theirs, ids[kind]) != answer(of_nobody, random):
                yield f"unknown fields {chosen} tell the id of their {kind} from a random one"


def their_words_in_the_query(operation: Operation, world: World) -> Iterator[str]:
    """Filters, search, ordering and cursors: their words find as much as any others, and show nothing."""
    if not operation.is_read or operation.is_public:
        return
    path = right_request(operation, world.ours).path
    for name, schema in operation.parameters("query").items():
        for value in schema.get("enum", []):
            answer = Asking("GET", f"{path}?{name}={value}").by(world.ours)
            yield from (f"?{name}={value} shows {leak}" for leak in world.leaks_in(answer.content))
    tenant, random = str(world.theirs.tenant_id), str(uuid.uuid4())
    words = {tenant: random, CANARY + "1": "xyzwvutsr1"}
    queries = [f"{name}={{}}" for name in operation.parameters("query")]
    queries.append("&".join(f"{name}={{}}" for name in HIDDEN_QUERIES))
    if world.is_thorough:  # together they might only be refused for one another
        queries += [f"{name}={{}}" for name in HIDDEN_QUERIES]
    for asker in (world.ours, world.colleague) if world.is_thorough else (world.ours,):
        for word, other in words.items():
            for query in queries:
                theirs, nobodys = (Asking("GET", f"{path}?{query.format(*[each] * 50)}") for each in (word, other))
                answer = theirs.by(asker)
                yield from (f"?{query} shows {leak}" for leak in world.leaks_in(answer.content, word))
                if comparable(answer, word) != comparable(nobodys.by(asker), other):
                    yield f"?{query} tells their word from another"
    yield from _their_cursor(operation, world, path)


def _their_cursor(operation: Operation, world: World, path: str) -> Iterator[str]:
    if "cursor" not in operation.parameters("query"):
        return
    page = Asking("GET", f"{path}?page_size=1").by(world.theirs)
    data = json.loads(page.content).get("data") or {}
    cursor = data.get("pagination", {}).get("next_cursor")
    if cursor:
        answer = Asking("GET", f"{path}?cursor={cursor}").by(world.ours)
        yield from (f"their cursor shows {leak}" for leak in world.leaks_in(answer.content))


def a_tenant_named_elsewhere(operation: Operation, world: World) -> Iterator[str]:
    """Headers and cookies that name their tenant change neither the answer nor anything of theirs."""
    if operation.is_public:
        return
    tenant = str(world.theirs.tenant_id)
    headers = {f"HTTP_{name.upper().replace('-', '_')}": tenant for name in TENANT_HEADERS}
    headers["HTTP_COOKIE"] = "; ".join(f"{name}={tenant}" for name in TENANT_NAMES)
    request = right_request(operation, world.ours)
    plain = request.by(world.ours)
    with undone():
        answer = request.kept(world.ours, **headers)
        if not operation.is_read and world.has_changed():
            yield "a tenant named in a header had a row of theirs changed"
    yield from (f"a tenant named in a header shows {leak}" for leak in world.leaks_in(answer.content))
    if plain.status_code != answer.status_code:
        yield f"a tenant named in a header changes {plain.status_code} to {answer.status_code}"
    if operation.is_read and comparable(plain) != comparable(answer):
        yield "a tenant named in a header changes the answer"


def doors(operation: Operation, world: World) -> Iterator[str]:
    """No token: 401. A role that may not: 403, and nothing has happened."""
    if operation.is_public:
        return
    request = right_request(operation, world.ours)
    nobody = request.by(None)
    if nobody.status_code != 401 or faults_in(nobody):
        yield f"without a token it answers {nobody.status_code}"
    if operation.codes(403) & ROLE_CODES:
        answer = request.by(world.colleague)
        code = json.loads(answer.content).get("code")
        if answer.status_code != 403 or code not in ROLE_CODES:
            yield f"a plain member is answered {answer.status_code} {code}"


def they_do_see(operation: Operation, world: World) -> Iterator[str]:
    """The control: whoever is in their tenant finds the words that the other checks look for."""
    if not operation.is_read or "not_a_member" not in operation.codes(403) or str(operation) in SHOWS_NOTHING:
        return
    values = {name: world.row_ids[name] for name in operation.route.converters if name in ROWS}
    answer = right_request(operation, world.theirs, **values).by(world.theirs)
    if not world.leaks_in(answer.content):
        yield "shows nothing of theirs to themselves: nothing here could be seen to leak"


def _headers(response: Any) -> bytes:
    return "\n".join(f"{name}: {value}" for name, value in response.headers.items()).encode()


CHECKS: tuple[Check, ...] = (
    own_rows_only,
    their_ids_in_the_path,
    their_ids_in_the_body,
    their_words_in_the_query,
    a_tenant_named_elsewhere,
    doors,
    they_do_see,
)
