// node's fetch against the echo server: clients.mjs PLAIN_URL TLS_URL, with NODE_EXTRA_CA_CERTS naming the certificate.

import assert from "node:assert/strict";

async function ask(url, options) {
  const response = await fetch(url, options);
  assert.equal(response.status, 200);
  return response.json();
}

for (const base of process.argv.slice(2)) {
  const got = await ask(`${base}/a?b=\u00e9`, { headers: { "x-a": "1" } });
  assert.equal(got.target, "/a?b=%C3%A9");
  assert.ok(got.fields.some(([name, value]) => name === "x-a" && value === "1"));
  console.log(`ok: node GET ${base}`);

  const posted = await ask(base, { method: "POST", body: "y".repeat(100_000) });
  assert.equal(posted.body_length, 100_000);
  console.log(`ok: node POST ${base}`);

  const stream = new ReadableStream({
    async start(controller) {
      for (let n = 0; n < 5; n += 1) controller.enqueue(new TextEncoder().encode("piece"));
      controller.close();
    },
  });
  const streamed = await ask(base, { method: "PUT", body: stream, duplex: "half" });
  assert.equal(streamed.body_length, 25);
  console.log(`ok: node streamed PUT ${base}`);

  const all = await Promise.all(Array.from({ length: 40 }, (_, n) => ask(`${base}/${n}`)));
  assert.deepEqual(all.map((said) => said.target), all.map((_, n) => `/${n}`));
  console.log(`ok: node, 40 at a time ${base}`);
}
