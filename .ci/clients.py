"""requests and httpx against the echo server: clients.py PLAIN_URL TLS_URL CERTIFICATE."""

import asyncio
import ssl
import sys

import httpx
import requests

plain, tls, certificate = sys.argv[1:]


def check(what, got, want):
    assert got == want, f"{what}: wanted {want!r}, got {got!r}"
    print(f"ok: {what}")


def pieces():
    for _ in range(10):
        yield b"x" * 1000


for base in (plain, tls):
    with requests.Session() as session:
        session.trust_env = False  # proxies and authorities of this machine are not meant
        session.verify = certificate
        said = session.get(f"{base}/a b", params={"q": "1&2"}).json()
        check(f"requests GET {base}", said["target"], "/a%20b?q=1%262")
        said = session.post(base, json={"k": "v"}).json()
        check(f"requests POST {base}", (said["method"], said["body_length"]), ("POST", 10))
        said = session.put(base, data=pieces()).json()
        check(f"requests chunked PUT {base}", said["body_length"], 10_000)
        check(f"requests HEAD {base}", session.head(base).status_code, 200)

    with httpx.Client(trust_env=False, verify=ssl.create_default_context(cafile=certificate)) as client:
        response = client.get(base, headers={"x-n": "\u00e9".encode("latin-1")})
        check(f"httpx GET {base}", (response.http_version, response.status_code), ("HTTP/1.1", 200))
        said = client.post(base, content=pieces()).json()
        check(f"httpx chunked POST {base}", said["body_length"], 10_000)
        check(f"httpx empty DELETE {base}", client.delete(base).json()["body_length"], 0)


async def many(base, **options):
    async with httpx.AsyncClient(trust_env=False, verify=ssl.create_default_context(cafile=certificate), **options) as client:
        answers = await asyncio.gather(*(client.post(f"{base}/{n}", content=b"x" * n) for n in range(50)))
        check(
            f"httpx, 50 at a time, {answers[0].http_version} {base}",
            [(said["target"], said["body_length"]) for said in (answer.json() for answer in answers)],
            [(f"/{n}", n) for n in range(50)],
        )


asyncio.run(many(plain))
asyncio.run(many(tls))
asyncio.run(many(tls, http2=True))
# Without TLS there is no protocol to agree on: HTTP/2 has to be known.
asyncio.run(many(plain, http1=False, http2=True))
