"""The pages for logging in and out: plain forms, of which each carries a token that only this server can make for this browser."""

from __future__ import annotations

import hashlib
import hmac
import html
import secrets
import threading
from collections import Counter
from pathlib import Path
from urllib.parse import parse_qs

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ..page.words import ESCAPED, WORDS, Markup
from ..store import Memory, Store, digest
from . import audit
from .accounts import Accounts
from .limits import SLOW
from .sessions import Refused, Sessions

PAGE = Markup((Path(__file__).parent / "login.html").read_text("utf-8"))
FIELDS = (
    f'<label>{ESCAPED["login.name"]} <input name="name" autocomplete="username" required autofocus maxlength="64"></label>'
    f'<label>{ESCAPED["login.password"]} <input name="password" type="password" autocomplete="current-password" required maxlength="1024"></label>'
)
# Under "no-referrer" browsers would send the form with the origin "null".
OWN = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
}
WRONG = WORDS["login.wrong"]
STALE = WORDS["login.stale"]
OFTEN = WORDS["login.often"]
MOST_BODY = 2**13  # bytes of a form
TRIES, TRIES_S = 10, 300  # wrong passwords from one address, and in how many seconds they are forgotten
KEY_S = 24 * 3600  # that forms can be told from forged ones
WAITING = 8  # passwords that are checked or wait for it


class Login:
    """Lets an account in, and out again."""

    def __init__(self, accounts: Accounts | None, sessions: Sessions, store: Store | None = None):
        """Without accounts, which another vouches for, there is only a log-out."""
        self.accounts, self.sessions, self.store = accounts, sessions, store or Memory()
        self._places = threading.BoundedSemaphore(WAITING)
        self._under_way: Counter[str] = Counter()  # tries that have no answer yet, by address

    async def respond(self, request: Request, cookie: str, address: str) -> Response:
        """`cookie` is the name of the session's cookie; `address` is where the request comes from. Raises `StoreGone`."""
        path, key = request.url.path.rpartition("/")[2], await run_in_threadpool(self.key)
        if request.method == "GET":
            return self.shown(request, cookie, path, key)
        fields = await _fields(request)
        if not genuine(request, cookie, fields.get("token", ""), key):
            return self.shown(request, cookie, path, key, STALE, 403)
        if path == "logout":
            return await self.leave(request, cookie)
        try:
            value = await self.enter(fields.get("name", ""), fields.get("password", ""), address)
        except Refused as refused:
            reply = self.shown(request, cookie, path, key, refused.message, refused.status)
            if refused.retry_after:
                reply.headers["retry-after"] = str(refused.retry_after)
            return reply
        await run_in_threadpool(self.sessions.end, request.cookies.get(cookie))  # a session is of one account
        reply = RedirectResponse("./", 303, OWN)
        give(reply, request, cookie, value)
        take(reply, request, f"{cookie}-form")
        return reply

    async def enter(self, name: str, password: str, address: str) -> str:
        """The cookie of a new session. Raises `Refused`."""
        await self.check(name, password, address)
        value, browser = await run_in_threadpool(self.sessions.start, name, login=True)
        audit.note(name, "login", session=browser.name)
        return value

    async def check(self, name: str, password: str, address: str) -> None:
        """Raises `Refused` for a wrong password, or where too many were wrong lately."""
        self._under_way[address] += 1
        try:
            await self.tried(name, password, address)
        finally:
            self._under_way[address] -= 1
            if not self._under_way[address]:
                del self._under_way[address]

    async def tried(self, name: str, password: str, address: str) -> None:
        assert self.accounts is not None
        tries, left = await run_in_threadpool(self.count, address, 1)  # first, or many at once would all be checked
        many = tries > TRIES
        if many or not self._places.acquire(blocking=False):
            wrong = tries - self._under_way[address]
            await run_in_threadpool(self.count, address, -1)  # it was not checked
            raise Refused(429, OFTEN, 1 + int(left) if many and wrong >= TRIES else 2)
        try:
            right = await run_in_threadpool(self.accounts.check, name, password)
        finally:
            self._places.release()
        if not right:  # what was typed for a name may be a password
            audit.note(name if name in self.accounts.hashes else "unknown", "login refused")
            raise Refused(401, WRONG)
        await run_in_threadpool(self.count, address, -1)

    def count(self, address: str, step: int) -> tuple[int, float]:
        """Tries from an address, and in how many seconds they are forgotten."""
        return self.store.count(f"tries:{digest(address)}", step, TRIES_S)

    def key(self) -> bytes:
        """What the tokens of forms are made with, on all replicas."""
        known = self.store.get("forms")
        if known is None:
            self.store.put("forms", secrets.token_bytes(32), KEY_S, new=True)
            known = self.store.get("forms")
        return known or secrets.token_bytes(32)

    async def leave(self, request: Request, cookie: str) -> Response:
        browser = await run_in_threadpool(self.sessions.end, request.cookies.get(cookie))
        if browser:
            audit.note(browser.user, "logout", session=browser.name)
        reply = RedirectResponse("./", 303, {**OWN, "clear-site-data": '"storage"'})
        take(reply, request, cookie)
        return reply

    def shown(
        self, request: Request, cookie: str, path: str, key: bytes, said: str = "", status: int = 200
    ) -> Response:
        form = request.cookies.get(f"{cookie}-form") or secrets.token_urlsafe(24)
        out = path == "logout"
        page = PAGE.substitute(
            ESCAPED,
            title=ESCAPED["login.log_out_title" if out else "login.log_in_title"],
            action="logout" if out else "login",
            said=f'<p role="alert">{html.escape(said)}</p>' if said else "",
            token=_token(key, form),
            fields=f"<p>{ESCAPED['login.deleted']}</p>" if out else FIELDS,
            button=ESCAPED["login.log_out" if out else "login.log_in"],
        )
        reply = HTMLResponse(page, status, OWN)
        give(reply, request, f"{cookie}-form", form)
        return reply


def genuine(request: Request, cookie: str, token: str, key: bytes) -> bool:
    """Whether a form was shown to the browser that sends it."""
    form = request.cookies.get(f"{cookie}-form", "")
    return bool(form) and hmac.compare_digest(_token(key, form).encode(), token.encode("utf-8", "replace"))


def give(reply: Response, request: Request, cookie: str, value: str) -> None:
    """Give a browser a cookie that no script reads and no other site's request carries."""
    reply.set_cookie(cookie, value, path="/", httponly=True, samesite="strict", secure=request.url.scheme == "https")


def take(reply: Response, request: Request, cookie: str) -> None:
    """Take a cookie back."""
    secure = request.url.scheme == "https"
    reply.delete_cookie(cookie, path="/", httponly=True, samesite="strict", secure=secure)


def _token(key: bytes, form: str) -> str:
    return hmac.new(key, form.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


async def _fields(request: Request) -> dict[str, str]:
    """The fields of a form. Raises `Refused`."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY:
                raise Refused(413, WORDS["login.large"])
    except (HTTPException, ClientDisconnect):
        raise Refused(408, SLOW) from None
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    except ValueError:
        raise Refused(400, WORDS["login.fields"]) from None
    return {name: values[0] for name, values in fields.items() if len(values) == 1}
