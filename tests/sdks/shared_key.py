"""Asks Twilio's own validator about a request signed with a SharedKey, which only its Python SDK knows.

Reads {"url", "headers", "body", "secret"} as JSON from standard input and prints true or false.
"""

import json
import sys
from urllib.parse import parse_qsl

from twilio.request_validator import RequestValidator, get_signature_algorithm

request = json.load(sys.stdin)
headers = request["headers"]
algorithm = get_signature_algorithm(headers.get("x-twilio-webhooks-signature-settings"))
is_form = headers["content-type"].startswith("application/x-www-form-urlencoded")
params = dict(parse_qsl(request["body"], keep_blank_values=True)) if is_form else request["body"]
validator = RequestValidator(request["secret"])
believed = algorithm == "HMAC_SHA256" and validator.validate(
    request["url"], params, headers["x-twilio-signature"], algorithm
)
print(json.dumps(bool(believed)))
