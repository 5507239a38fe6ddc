"""A mail server on a real socket, which says what a test wants it to say."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from tests.services import wire


@dataclass(kw_only=True)
class MailServer:
    """`says` replaces the reply to a command; `END` is the mail's last line. Empty hangs up, `silent` never answers."""

    port: int = 0
    says: Mapping[str, str] = field(default_factory=dict)
    mails: list[bytes] = field(default_factory=list)


OK = {"HELLO": "220 ready", "EHLO": "250 hello", "MAIL": "250 ok", "RCPT": "250 ok", "DATA": "354 go", "END": "250 ok",
      "QUIT": "221 bye", "RSET": "250 ok", "AUTH": "235 ok"}  # fmt: skip


@contextmanager
def mail_server(**says: str) -> Iterator[MailServer]:
    server = MailServer(says=says)

    def reply(connection: socket.socket, word: str) -> bool:
        line = says.get(word, OK.get(word, "502 what?"))
        if line == "silent":
            connection.settimeout(5)
            connection.recv(1)  # until the client has had enough
            return False
        if line:
            connection.sendall(line.encode() + b"\r\n")
        return bool(line)

    def serve(connection: socket.socket) -> None:
        if not reply(connection, "HELLO"):
            return
        lines = connection.makefile("rb")
        for line in lines:
            word = line.split()[0].decode().upper()
            if not reply(connection, word):
                return
            if word == "DATA" and says.get("DATA", "354").startswith("354"):
                mail = b""
                for part in lines:
                    if part == b".\r\n":
                        break
                    mail += part
                server.mails.append(mail)
                if not reply(connection, "END"):
                    return

    with wire.listening(serve) as url:
        server.port = urlsplit(url).port or 0
        yield server
