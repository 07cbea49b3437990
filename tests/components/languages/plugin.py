"""Tells the receiver what was paid: an order's event becomes one call and, for a sender that waits, an answer.

The same plugin stands in plugin.js; both are held to the same cases. What a plugin sees and returns is in
wit/plugin.wit: records become dataclasses, a variant's case `text` of `body` is `Body_Text`, an option is its value
or None, and what a function raises as `Err` is its `failure`.
"""

import json
import math
import random
import time
from datetime import datetime, timezone
from urllib.parse import quote

from componentize_py_types import Err
from wit_world.imports import config, log
from wit_world.imports.types import Body_Text, Call, Event, Failure_Reject, Outcome, Reply


class Handler:
    def handle(self, event: Event) -> Outcome:
        if event.kind == "probe":
            return answer(probe())
        if event.kind != "order.paid":
            log.write(log.Level.DEBUG, f"nothing to tell about {event.kind}")
            return Outcome(calls=[], reply=None)
        order = parse(event.body)
        if "customer" not in order or "total" not in order:
            raise Err(Failure_Reject("the order lacks its customer or its total"))
        currency = config.get("currency") or "EUR"
        text = f"{order['customer']['name']} paid {order['total']:.2f} {currency} for order {order['id']}"
        log.write(log.Level.INFO, text)
        at = datetime.fromtimestamp(event.received_at_ms / 1000, timezone.utc)
        note = {"text": text, "at": at.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
        call = Call(
            destination="receiver",
            method="POST",
            path=f"/orders/{quote(str(order['id']), safe='')}/notes",
            headers=[("content-type", "application/json")],
            body=Body_Text(compact(note)),
            idempotency_key=None,
            order_key=str(order["id"]),
            delay_ms=None,
            expires_ms=None,
            on_result=None,
            attributes=[],
        )
        return Outcome(calls=[call], reply=answer({"told": text}).reply)


def parse(body):
    """The body is text when it is valid UTF-8, so nothing needs to be decoded here."""
    if not isinstance(body, Body_Text):
        raise Err(Failure_Reject("the body is not text"))
    try:
        return json.loads(body.value)
    except ValueError as error:
        raise Err(Failure_Reject(f"the body is not JSON: {error}"))


def compact(document) -> str:
    return json.dumps(document, separators=(",", ":"))


def answer(document) -> Outcome:
    headers = [("content-type", "application/json")]
    return Outcome(calls=[], reply=Reply(status=200, headers=headers, body=Body_Text(compact(document))))


def probe():
    """What would differ from run to run if the host let it."""
    before = time.time()
    draws = [random.random(), random.random()]
    keys = list({"gold", "silver", "bronze", "iron"})
    return {"before": before, "after": time.time(), "draws": draws, "keys": keys, "nan": math.isnan(math.nan)}
