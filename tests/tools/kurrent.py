"""What the Python client does when a test asks it: a line of JSON each way."""

import json
import sys

from kurrentdbclient import CaughtUp, Checkpoint, KurrentDBClient, NewEvent, StreamState

client = None
subscription = None


def told(event):
    if isinstance(event, CaughtUp):
        return {"caught_up": event.commit_position}
    if isinstance(event, Checkpoint):
        return {"checkpoint": event.commit_position}
    return {
        "id": str(event.id),
        "type": event.type,
        "stream": event.stream_name,
        "revision": event.stream_position,
        "position": event.commit_position,
        "data": event.data.decode(),
        "metadata": event.metadata.decode(),
    }


def filters(ask):
    if "prefix" in ask:
        chosen = {"filter_include": ask["prefix"], "filter_by_prefix": True}
    elif "regex" in ask:
        chosen = {"filter_include": ask["regex"]}
    else:
        return {}
    return {**chosen, "filter_by_stream_name": ask["by"] == "stream"}


def limits(ask):
    chosen = {"backwards": ask.get("backwards", False)}
    if "limit" in ask:
        chosen["limit"] = ask["limit"]
    return chosen


def connect(ask):
    global client
    if client is not None:
        client.close()
    client = KurrentDBClient(uri=ask["uri"])
    return {}


def read_all(ask):
    events = client.read_all(commit_position=ask.get("from"), **limits(ask), **filters(ask))
    return {"events": [told(event) for event in events]}


def read_stream(ask):
    events = client.get_stream(ask["stream"], stream_position=ask.get("from"), **limits(ask))
    return {"events": [told(event) for event in events]}


def append(ask):
    event = NewEvent(type="Forged", data=b"{}")
    client.append_to_stream(ask["stream"], current_version=StreamState.ANY, events=event)
    return {}


def delete(ask):
    client.delete_stream(ask["stream"], current_version=StreamState.ANY)
    return {}


def subscribe(ask):
    global subscription
    if "stream" in ask:
        subscription = client.subscribe_to_stream(
            ask["stream"], stream_position=ask.get("from"), include_caught_up=True
        )
    else:
        subscription = client.subscribe_to_all(
            commit_position=ask.get("from"),
            include_checkpoints=True,
            include_caught_up=True,
            window_size=5,
            checkpoint_interval_multiplier=2,
            **filters(ask),
        )
    return {}


def following(_):
    return told(next(subscription))


def unsubscribe(_):
    subscription.stop()
    return {}


ASKED = {
    "connect": connect,
    "read_all": read_all,
    "read_stream": read_stream,
    "append": append,
    "delete": delete,
    "subscribe": subscribe,
    "next": following,
    "unsubscribe": unsubscribe,
}

for line in sys.stdin:
    ask = json.loads(line)
    try:
        answer = ASKED[ask["do"]](ask)
    except Exception as error:  # whatever it is, the test says what it should have been
        answer = {"error": type(error).__name__, "text": str(error)}
    print(json.dumps(answer), flush=True)
