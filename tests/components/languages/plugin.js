// Tells the receiver what was paid: an order's event becomes one call and, for a sender that waits, an answer.
//
// The same plugin stands in plugin.py; both are held to the same cases. What a plugin sees and returns is in
// wit/plugin.wit: names become camelCase, a variant is { tag, val }, an option is its value or null, and what a
// function throws is its `failure`.
import log from "creel:plugin/log@0.1.0";
import config from "creel:plugin/config@0.1.0";

export const handler = {
  handle(event) {
    if (event.kind === "probe") return answer(probe());
    if (event.kind !== "order.paid") {
      log.write("debug", `nothing to tell about ${event.kind}`);
      return { calls: [], reply: null };
    }
    const order = parse(event.body);
    if (!order.customer || typeof order.total !== "number") {
      throw { tag: "reject", val: "the order lacks its customer or its total" };
    }
    const currency = config.get("currency") ?? "EUR";
    const text = `${order.customer.name} paid ${order.total.toFixed(2)} ${currency} for order ${order.id}`;
    log.write("info", text);
    const call = {
      destination: "receiver",
      method: "POST",
      path: `/orders/${encodeURIComponent(order.id)}/notes`,
      headers: [["content-type", "application/json"]],
      body: { tag: "text", val: JSON.stringify({ text, at: new Date(event.receivedAtMs).toISOString() }) },
      idempotencyKey: null,
      orderKey: String(order.id),
      delayMs: null,
      expiresMs: null,
      onResult: null,
      attributes: [],
    };
    return { ...answer({ told: text }), calls: [call] };
  },
};

// The body is text when it is valid UTF-8, so nothing needs to be decoded here.
function parse(body) {
  if (body.tag !== "text") throw { tag: "reject", val: "the body is not text" };
  try {
    return JSON.parse(body.val);
  } catch (error) {
    throw { tag: "reject", val: `the body is not JSON: ${error.message}` };
  }
}

function answer(document) {
  const body = { tag: "text", val: JSON.stringify(document) };
  return { calls: [], reply: { status: 200, headers: [["content-type", "application/json"]], body } };
}

// What would differ from run to run if the host let it.
function probe() {
  const before = Date.now();
  const draws = [Math.random(), Math.random()];
  const keys = [...new Set(["gold", "silver", "bronze", "iron"])];
  return { before, after: Date.now(), draws, keys, nan: Number.NaN };
}
