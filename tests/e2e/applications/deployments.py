"""A pipeline with the SDK of CloudEvents that tells of its deployments: one event
in its headers, one as a document, and two in a batch.

Where to, and with which token, are the arguments.
"""

import json
import sys

import requests
from cloudevents.core.bindings.http import to_binary_event, to_structured_event
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

URL, TOKEN = sys.argv[1:]


def deployed(version):
    return CloudEvent(
        attributes={
            "specversion": "1.0",
            "id": f"shop-{version}",
            "source": "/ci/shop",
            "type": "dev.faultline.change",
            # Headers have no such letters: the binding says how they get through.
            "subject": "Größe",
        },
        data={"title": f"shop {version}", "entities": ["service/shop"]},
    )


def send(headers, body):
    headers = {**headers, "authorization": f"Bearer {TOKEN}"}
    answer = requests.post(URL, data=body, headers=headers, timeout=10)
    answer.raise_for_status()


message = to_binary_event(deployed("1.0"))
send(message.headers, message.body)
message = to_structured_event(deployed("2.0"))
send(message.headers, message.body)
# The SDK writes no batches: they are a list of what it does write.
batch = [json.loads(JSONFormat().write(deployed(version))) for version in ("3.0", "3.1")]
send({"content-type": "application/cloudevents-batch+json"}, json.dumps(batch))
