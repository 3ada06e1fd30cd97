"""A mail server that keeps what it takes, and refuses whom it is told to. See `tests/tools/mail`."""

import asyncio
import email
import email.policy
import json
import pathlib
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult


class Keeper:
    """Takes mail, and writes each down as a line of JSON."""

    def __init__(self, folder):
        self.mails = folder / "mails"
        self.refused = folder / "refused"

    def code_for(self, address):
        if self.refused.exists():
            for line in self.refused.read_text().splitlines():
                name, code = line.split()
                if name == address:
                    return code
        return None

    async def handle_RCPT(self, server, session, envelope, address, options):
        code = self.code_for(address)
        if code:
            return f"{code} <{address}> is not wanted here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        text = message.get_body(("plain",))
        html = message.get_body(("html",))
        mail = {
            "to": envelope.rcpt_tos,
            "from": str(message["From"]),
            "subject": str(message["Subject"]),
            "message_id": str(message["Message-ID"]),
            "auto_submitted": str(message["Auto-Submitted"]),
            "text": text.get_content() if text else "",
            "html": html.get_content() if html else "",
        }
        with self.mails.open("a") as mails:
            mails.write(json.dumps(mail) + "\n")
        return "250 OK"


def protected(folder):
    """How a server is made that is spoken to in TLS only, by who knows the login; plain where there is no certificate."""
    if not (folder / "certificate.pem").exists():
        return (lambda: SMTP(Keeper(folder))), None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    name, password = (folder / "login").read_text().strip().split(" ", 1)

    def authenticate(server, session, envelope, mechanism, given):
        return AuthResult(success=(given.login, given.password) == (name.encode(), password.encode()), handled=False)

    from_the_start = (folder / "tls-from-the-start").exists()
    keys = {"tls_context": context, "require_starttls": True}
    if from_the_start:
        keys = {"auth_require_tls": False}
    make = lambda: SMTP(Keeper(folder), authenticator=authenticate, auth_required=True, **keys)
    return make, context if from_the_start else None


async def serve(folder, port):
    loop = asyncio.get_running_loop()
    make, tls = protected(folder)
    server = await loop.create_server(make, "127.0.0.1", port, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(serve(pathlib.Path(sys.argv[1]), int(sys.argv[2])))
