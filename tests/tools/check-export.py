#!/usr/bin/env python3
"""Checks an export of a whole Rollbook log as docs/verification.md specifies it, with Python's own library alone.

    tests/tools/check-export.py EXPORT [KEY]

EXPORT.manifest.json stands beside it. KEY is the verifier key that was kept from before. Nothing here is shared with Rollbook.
"""
import base64, gzip, hashlib, json, re, struct, sys
from datetime import datetime, timezone


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


# Ed25519 (RFC 8032): only what it takes to check a signature.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def times(number, point):
    result = (0, 1, 1, 0)
    while number:
        if number & 1:
            result = add(result, point)
        point, number = add(point, point), number >> 1
    return result


def point(encoded):
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    assert (x * x - square) % P == 0, "not a point of the curve"
    x = P - x if x & 1 != sign else x
    return (x, y, 1, x * y % P)


def signed(key, message, signature):
    base = point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))
    digest = hashlib.sha512(signature[:32] + key + message).digest()
    scalar = int.from_bytes(signature[32:], "little")
    left = times(scalar, base)
    right = add(point(signature[:32]), times(int.from_bytes(digest, "little") % Q, point(key)))
    return scalar < Q and all((left[i] * right[2] - right[i] * left[2]) % P == 0 for i in (0, 1))


def read_checkpoint(note, verifier_key):
    """Size, root and origin of a checkpoint that the key signed (C2SP signed-note, tlog-checkpoint)."""
    name, key_id, key = verifier_key.split("+", 2)
    key = base64.b64decode(key)
    assert key[:1] == b"\x01" and sha256(name.encode(), b"\n", key)[:4].hex() == key_id, "not an Ed25519 key"
    text, signatures = note.split("\n\n", 1)
    text += "\n"
    found = [line.split(" ")[2] for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
    signature = base64.b64decode(found[0])
    assert signature[:4].hex() == key_id and signed(key[1:], text.encode(), signature[4:]), "the checkpoint is not signed"
    origin, size, root = text.splitlines()[:3]
    assert origin == name, "the checkpoint is of another log"
    return origin, int(size), base64.b64decode(root)


def leaf_hash(event, payload):
    number = lambda value: struct.pack(">Q", int(value))
    text = lambda value: number(len(value.encode())) + value.encode()
    time = datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
    since = time - datetime(1970, 1, 1, tzinfo=timezone.utc)
    micros = (since.days * 86400 + since.seconds) * 10**6 + since.microseconds
    kind, stream = event["subject"].split("-", 1)
    return sha256(
        b"\x00", text("rollbook event 1"), number(event["id"]), number(event["commitposition"]), text(event["account"]),
        number(event["accountnumber"]), text(kind), text(stream), number(event["revision"]), text(event["type"]),
        text(event["eventversion"]), number(micros), number(event["forgets"]), text(payload), text(event["metadata"]))


def check(path, kept_key=None):
    manifest = json.load(open(path + ".manifest.json", encoding="utf-8"))
    assert manifest["form"] == "rollbook export 1" and manifest["scope"] == "log", "not an export of a whole log"
    origin, size, root = read_checkpoint(manifest["checkpoint"], kept_key or manifest["verifier_key"])
    subtrees, numbers, last = [], {}, ""
    with (gzip.open if open(path, "rb").read(2) == b"\x1f\x8b" else open)(path, "rt", encoding="utf-8", newline="\n") as lines:
        for position, line in enumerate(lines, 1):
            event = json.loads(line)
            payload = re.split(',"data":', line.rstrip("\n"), maxsplit=1)[1][:-1]
            account = event["account"]
            numbers[account] = numbers.get(account, 0) + 1
            leaf = leaf_hash(event, payload)
            for wrong, what in (
                (event["id"] != str(position), "another position stands in its place"),
                (event["source"] != origin, "it is of another log"),
                (event["accountnumber"] != str(numbers[account]), "its account number has a gap before it"),
                (event["time"] < last, "it is recorded before the event before it"),
                (base64.b64decode(event["leafhash"]) != leaf, "it is not what its leaf says"),
            ):
                if wrong:
                    sys.exit(f"position {position}: {what}")
            last, height = event["time"], 0
            while subtrees and subtrees[-1][0] == height:
                leaf, height = sha256(b"\x01", subtrees.pop()[1], leaf), height + 1
            subtrees.append((height, leaf))
    assert sum(2**height for height, _ in subtrees) == size == manifest["events"], "events are missing at the end"
    tree = subtrees.pop()[1] if subtrees else sha256()
    while subtrees:
        tree = sha256(b"\x01", subtrees.pop()[1], tree)
    assert tree == root, "the tree is not that of the checkpoint"
    print(f"{size} events are what they were; the tree is {root.hex()}")


check(*sys.argv[1:3])
