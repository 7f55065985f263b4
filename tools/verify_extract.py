#!/usr/bin/env python3
"""Verify a mandatum extract without mandatum.

    verify_extract.py EXTRACT [--root FINGERPRINT] [--json]

Prints one line of verdict. Exit code 0: the extract holds; 6: it does not, or is not an extract; 7: the file cannot be
read. It needs Python 3.9 or newer and the package `cryptography`, nothing else: no vault, no network.

This program shares no line with mandatum. It was written from docs/ledger.md, and its parts follow that page: the
numbers in the comments are the page's sections. What a valid extract proves, and what it does not, is section 12.
"""

import argparse
import base64
import datetime
import functools
import hashlib
import json
import re
import sys
import unicodedata

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DAY = 86_400_000
LAST_INSTANT = 2**63 - 1
LONGEST_LINE = 64 * 1024 * 1024
DEEPEST_JSON = 127


class Refused(Exception):
    """The extract does not verify; the text says why."""


def require(holds, why):
    if not holds:
        raise Refused(why)


# ---------------------------------------------------------------------------------------------------------------------
# Section 1: strict JSON
# ---------------------------------------------------------------------------------------------------------------------


def load_json(data):
    """The one JSON value in these bytes, and the same in canonical JSON (as far as order and spacing go)."""
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=object_without_repeats, parse_constant=refuse_number)
        return value, json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    except (ValueError, RecursionError) as fault:
        raise Refused(f"not JSON: {fault}") from None


def object_without_repeats(pairs):
    result = dict(pairs)
    require(len(result) == len(pairs), "a JSON object has a field twice")
    return result


def refuse_number(text):
    raise Refused(f"{text} is no JSON number")


def same_json(a, b):
    """Equal as JSON values. Python alone would say that 1 == True and 1 == 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_json(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same_json, a, b))
    return a == b


# ---------------------------------------------------------------------------------------------------------------------
# Sections 1 and 10: the types of the page. Each checks a JSON value (`check`) and writes it in the binary form of which
# the state digest is taken (`encode`).
# ---------------------------------------------------------------------------------------------------------------------


class Hex:
    def __init__(self, size):
        self.pattern = re.compile("[0-9a-f]{%d}" % (2 * size))

    def check(self, value):
        require(isinstance(value, str) and self.pattern.fullmatch(value), f"{value!r} is no id, digest or key")

    def encode(self, value):
        return bytes.fromhex(value)


class Unsigned:
    def __init__(self, bits):
        self.limit = 2**bits

    def check(self, value):
        require(type(value) is int and 0 <= value < self.limit, f"{value!r} is no number in its range")

    def encode(self, value):
        return leb128(value)


class Instant:
    def check(self, value):
        require(type(value) is int and -(2**63) <= value < 2**63, f"{value!r} is no instant")

    def encode(self, value):
        return leb128(2 * value if value >= 0 else -2 * value - 1)


class Bool:
    def check(self, value):
        require(isinstance(value, bool), f"{value!r} is neither true nor false")

    def encode(self, value):
        return b"\x01" if value else b"\x00"


class Raw:
    """A string of which only the place knows what it means."""

    def check(self, value):
        require(isinstance(value, str), f"{value!r} is no string")

    def encode(self, value):
        data = value.encode("utf-8")
        return leb128(len(data)) + data


class Text(Raw):
    def check(self, value):
        super().check(value)
        require(len(value) <= 500 and is_clean(value), f"{value!r} is no text in its one spelling")


class Name(Raw):
    def check(self, value):
        super().check(value)
        require(1 <= len(value) <= 80 and "/" not in value and is_clean(value), f"{value!r} is no name")


class Date(Raw):
    def check(self, value):
        require(isinstance(value, str) and re.fullmatch("2[01][0-9]{2}-[0-9]{2}-[0-9]{2}", value), f"{value!r} is no date")
        try:
            datetime.date.fromisoformat(value)
        except ValueError:
            raise Refused(f"{value} is no date") from None


class Blob:
    def check(self, value):
        from_base64(value)

    def encode(self, value):
        data = from_base64(value)
        return leb128(len(data)) + data


class Optional:
    def __init__(self, inner):
        self.inner = inner

    def check(self, value):
        if value is not None:
            self.inner.check(value)

    def encode(self, value):
        return b"\x00" if value is None else b"\x01" + self.inner.encode(value)


class List:
    """Items of one type; with `ordered_by`, ascending by it and each once."""

    def __init__(self, inner, ordered_by=None):
        self.inner, self.ordered_by = inner, ordered_by

    def check(self, value):
        require(isinstance(value, list), f"{value!r} is no list")
        for item in value:
            self.inner.check(item)
        if self.ordered_by:
            places = [self.ordered_by(item) for item in value]
            require(all(a < b for a, b in zip(places, places[1:])), f"{value!r} is not in order, or repeats itself")

    def encode(self, value):
        return leb128(len(value)) + b"".join(map(self.inner.encode, value))


class Struct:
    """An object with exactly these fields, in this order unless it is said that the order is free."""

    def __init__(self, fields, free_order=False):
        self.fields, self.free_order = fields, free_order

    def check(self, value):
        require(isinstance(value, dict), f"{value!r} is no object")
        found, due = list(value), list(self.fields)
        if self.free_order:
            found, due = sorted(found), sorted(due)
        require(found == due, f"an object has the fields {found} and not {due}")
        for name, kind in self.fields.items():
            kind.check(value[name])

    def encode(self, value):
        return b"".join(kind.encode(value[name]) for name, kind in self.fields.items())


class Enum:
    """A string for a variant without fields, `{"variant": fields}` for one with fields."""

    def __init__(self, variants):
        if isinstance(variants, str):
            variants = dict.fromkeys(variants.split())
        self.variants, self.places = variants, list(variants)

    def check(self, value):
        if isinstance(value, str):
            require(value in self.variants and self.variants[value] is None, f"{value!r} is no variant here")
            return
        require(isinstance(value, dict) and len(value) == 1, f"{value!r} is no variant")
        name, inner = variant(value)
        require(self.variants.get(name) is not None, f"{name!r} is no variant here")
        self.variants[name].check(inner)

    def encode(self, value):
        name, inner = variant(value)
        return leb128(self.places.index(name)) + (self.variants[name].encode(inner) if self.variants[name] else b"")


def variant(value):
    """The name and the fields of an enumeration's value."""
    return (value, None) if isinstance(value, str) else next(iter(value.items()))


def leb128(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out) + bytes([number])


def from_base64(text):
    """RFC 4648 section 4, in its one spelling: written again it must be the same."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Refused(f"{str(text)[:40]!r} is not base64") from None
    require(base64.b64encode(data).decode("ascii") == text, f"{text[:40]!r} is not base64 in its one spelling")
    return data


def is_clean(text):
    return text == trimmed(unicodedata.normalize("NFC", text)) and not any(map(hides, text))


def hides(character):
    return unicodedata.category(character) in ("Cc", "Cf", "Co", "Cs", "Zl", "Zp")


WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def trimmed(text):
    return text.strip(WHITE_SPACE)


def folded(text):
    lower = "".join(character.lower() for character in text).replace("ё", "е")
    return re.sub(f"[{WHITE_SPACE}]+", " ", lower).strip(" ")


# ---------------------------------------------------------------------------------------------------------------------
# Sections 2 to 7: what an extract is made of
# ---------------------------------------------------------------------------------------------------------------------

ID, DIGEST, KEY, TAG = Hex(16), Hex(32), Hex(32), Hex(16)
INSTANT, DATE, TEXT, NAME, RAW, BLOB, BOOL = Instant(), Date(), Text(), Name(), Raw(), Blob(), Bool()
COUNT = Unsigned(32)
LONG = Unsigned(64)

SIGNED = Struct({"bytes": BLOB, "key": KEY, "sig": BLOB})
HEAD_LINE = Struct({"mandatum_extract": COUNT, "root": KEY, "unit": ID, "charters": List(SIGNED), "admissions": List(SIGNED)})
RECORD_LINE = Struct({"salt": DIGEST, "key": KEY, "sig": BLOB, "record": RAW})
LAST_LINE = Struct({"checkpoint": RAW})

CHARTER = Struct(
    {"vault": ID, "number": COUNT, "roster": ID, "record_key": KEY, "checkpoint_key": KEY, "recovery": RAW}
)
ROLE = Enum("owner lead specialist auditor external")
BUNDLE = Struct({"vault": ID, "member": ID, "name": NAME, "sign": KEY, "enc": RAW})
ADMISSION = Struct({"bundle": SIGNED, "roles": List(ROLE, ordered_by=ROLE.places.index), "by": Optional(ID)})

VERB = Enum(
    "unlock lock step_up member_add member_list member_role member_suspend member_resume member_factor member_remove "
    "mandate_open mandate_import mandate_answer mandate_activate mandate_permit mandate_evidence mandate_list "
    "mandate_show mandate_amend mandate_end mandate_settle mandate_close credential_add credential_rotate "
    "credential_list locate reuse recipients grant revoke request deny review rotation_ask incident_open "
    "incident_note incident_close incident_list fetch code log extract exposure verify sweep due status backup "
    "confirm_clock"
)
DENY = Enum(
    "MANDATE_NOT_ACTIVE TERM_NOT_STARTED TERM_EXPIRED GRANT_LOCKED NOT_GRANTED ROLE_FORBIDS MFA_REQUIRED MFA_REPLAYED "
    "PURPOSE_REQUIRED PURPOSE_OUTSIDE_ROW SECRET_DESTROYED CLOCK_SUSPECT LEDGER_UNAVAILABLE VAULT_ROLLED_BACK"
)

TERM = Struct({"from": INSTANT, "until": INSTANT})
LEVEL = Enum("view reply edit moderate publish analytics configure export delete admin")
LEVELS = List(LEVEL, ordered_by=LEVEL.places.index)
JURISDICTION = Enum("ru eu")
TERMS = Struct(
    {
        "data": List(TEXT),
        "levels": LEVELS,
        "purposes": List(TEXT),
        "from": DATE,
        "until": DATE,
        "term": TERM,
        "grant_days": Optional(COUNT),
    }
)
ADD_ROW = Struct({"row": ID, "system": NAME, "category": TEXT, "platform": TEXT, "terms": TERMS})
ROW_CHANGE = Enum(
    {
        "add": ADD_ROW,
        "set": Struct({"row": ID, "terms": TERMS}),
        "remove": Struct({"row": ID}),
        "until": Struct({"until": DATE, "term": TERM}),
    }
)
FACTS = Struct(
    {
        "id": ID,
        "member": ID,
        "row": ID,
        "levels": LEVELS,
        "purposes": List(TEXT),
        "term": TERM,
        "origin": Enum("lead given"),
    }
)
STRENGTH = Enum("random strong fair weak")
NEW_VERSION = Struct({"number": COUNT, "ct": DIGEST, "tag": TAG, "strength": STRENGTH, "allowed_weak": Optional(TEXT)})
KIND = Enum("login api_key bot_token webhook oauth_token recovery_codes note delegated")
SECOND_FACTOR = Enum(
    {
        "on": None,
        "elsewhere": Struct({"holder": TEXT}),
        "not_possible": Struct({"reason": TEXT, "at": INSTANT}),
        "unknown": None,
    }
)
REVOCATION = Struct({"endpoint": TEXT, "probe": TEXT, "client": TEXT})
CREDENTIAL_FACTS = {
    "id": ID,
    "row": ID,
    "name": TEXT,
    "kind": KIND,
    "account": TEXT,
    "url": TEXT,
    "second_factor": SECOND_FACTOR,
    "revocation": Optional(REVOCATION),
    "because": Optional(TEXT),
}
NEW_CREDENTIAL = Struct({**CREDENTIAL_FACTS, "version": Optional(NEW_VERSION)})
WHY = Enum(
    {
        "term": None,
        "asked": Struct({"reason": TEXT}),
        "amended": None,
        "mandate_ended": None,
        "member_removed": None,
        "key_lost": None,
    }
)
DRAFT = Struct({"source": DIGEST, "questions": COUNT, "reading": BLOB})
PERMISSION = Struct(
    {"member": ID, "rows": List(ID, ordered_by=bytes.fromhex), "until": Optional(DATE), "source": DIGEST, "file": TEXT}
)
WISH = Struct(
    {"id": ID, "system": TEXT, "levels": LEVELS, "purposes": List(TEXT), "until": Optional(DATE), "reason": TEXT}
)
DECISION = Enum({"keep": None, "narrow": Struct({"levels": LEVELS, "until": INSTANT}), "revoke": None})
EVIDENCE = Enum(
    {
        "revoked": Struct({"credential": ID, "how": TEXT, "by": TEXT, "proof": Optional(DIGEST)}),
        "copies": Struct({"by": TEXT, "none": BOOL, "declaration": TEXT, "proof": Optional(DIGEST)}),
        "chosen": Struct({"choice": Enum("return delete"), "by": TEXT}),
        "returned": Struct({"recipient": TEXT, "package": DIGEST, "credentials": COUNT}),
    }
)
INCIDENT_FACTS = Struct(
    {
        "id": ID,
        "kind": Enum(
            "device_lost password_compromised unauthorised_access misdirected_transfer security_incident"
        ),
        "member": Optional(ID),
        "detected": INSTANT,
        "since": Optional(INSTANT),
        "note": TEXT,
    }
)
STEP = Enum("notice instruction execution finding")

# Section 7
EVENT = Enum(
    {
        "opened": Struct(
            {
                "operator": NAME,
                "contract": TEXT,
                "signed": DATE,
                "until": DATE,
                "zone": RAW,
                "term": TERM,
                "jurisdiction": JURISDICTION,
                "leads": List(ID),
                "rows": List(Enum({"add": ADD_ROW})),
                "grants": List(FACTS),
            }
        ),
        "drafted": Struct(
            {
                "operator": NAME,
                "contract": TEXT,
                "zone": RAW,
                "jurisdiction": JURISDICTION,
                "on": DATE,
                "leads": List(ID),
                "draft": DRAFT,
            }
        ),
        "answered": Struct({"questions": COUNT, "reading": BLOB}),
        "activated": Struct(
            {
                "contract": TEXT,
                "signed": DATE,
                "until": DATE,
                "term": TERM,
                "source": DIGEST,
                "rows": List(Enum({"add": ADD_ROW})),
                "grants": List(FACTS),
            }
        ),
        "permitted": Struct({"permission": PERMISSION}),
        "requested": Struct({"wish": WISH}),
        "request_denied": Struct({"request": ID, "reason": TEXT}),
        "reviewed": Struct({"lines": List(Struct({"grant": ID, "decision": DECISION, "note": TEXT}))}),
        "rotation_asked": Struct({"credential": ID, "of": TEXT}),
        "evidenced": Struct({"evidence": EVIDENCE}),
        "incident_opened": Struct({"facts": INCIDENT_FACTS, "grants": List(ID)}),
        "incident_noted": Struct({"incident": ID, "step": STEP, "text": TEXT}),
        "incident_closed": Struct({"incident": ID, "unlock": BOOL, "outcome": TEXT}),
        "amended": Struct(
            {
                "changes": List(ROW_CHANGE),
                "grants": List(FACTS),
                "narrowed": List(Struct({"grant": ID, "until": INSTANT, "ended": BOOL})),
            }
        ),
        "credentials_added": Struct({"credentials": List(NEW_CREDENTIAL)}),
        "rotated": Struct(
            {"credential": ID, "version": Optional(NEW_VERSION), "second_factor": Optional(SECOND_FACTOR)}
        ),
        "granted": Struct({"grant": FACTS, "answers": Optional(ID)}),
        "revoked": Struct({"grants": List(ID), "why": WHY}),
        "expired": Struct({"grants": List(ID)}),
        "destroyed": Struct({"grants": List(ID), "epoch": LONG}),
        "released": Struct({"items": List(Struct({"credential": ID, "version": COUNT, "grant": ID})), "purpose": TEXT}),
        "code_released": Struct({"credential": ID, "grant": ID, "purpose": TEXT}),
        "ended": Struct({"why": WHY}),
        "settled": Struct({"credential": ID, "version": COUNT, "because": TEXT, "confirmed": Optional(TEXT)}),
        "closed": Struct({"retain_until": INSTANT}),
        "restarted": Struct({"known": LONG, "root": DIGEST, "found": LONG}),
        "reissued": Struct({"grants": List(FACTS), "replaced": List(ID)}),
        "extracted": None,
    }
)

# Section 5. Events of the roster stand in no extract: a record with one is refused as an unknown outcome.
RECORD = Struct(
    {
        "format": COUNT,
        "vault": ID,
        "unit": ID,
        "seq": LONG,
        "at": INSTANT,
        "clock": Enum("trusted suspect"),
        "assurance": Enum("solo account host"),
        "verb": Optional(VERB),
        "by": Optional(ID),
        "request": Optional(SIGNED),
        "outcome": Enum({"mandate": EVENT, "denied": DENY, "refused": None}),
        "state": Optional(DIGEST),
    }
)


class Any:
    def check(self, value):
        pass


# Section 6
REQUEST = Struct(
    {
        "format": COUNT,
        "vault": ID,
        "verb": VERB,
        "member": ID,
        "unit": Optional(ID),
        "nonce": ID,
        "session": Optional(ID),
        "step_up": Optional(ID),
        "seen": Optional(Struct({"size": LONG, "root": DIGEST})),
        "ask": Any(),
    }
)

# Section 10: the state of a mandate, of which records carry the digest
VERSION = Struct(
    {
        "number": COUNT,
        "at": INSTANT,
        "author": ID,
        "ct": DIGEST,
        "tag": TAG,
        "strength": STRENGTH,
        "allowed_weak": Optional(TEXT),
    }
)
ENDED = Struct({"at": INSTANT, "why": WHY})
STATE = Struct(
    {
        "unit": ID,
        "operator": NAME,
        "contract": TEXT,
        "signed": DATE,
        "until": DATE,
        "zone": RAW,
        "term": TERM,
        "jurisdiction": JURISDICTION,
        "source": Optional(DIGEST),
        "phase": Enum(
            {"draft": DRAFT, "active": None, "ended": ENDED, "closed": Struct({"at": INSTANT, "retain_until": INSTANT})}
        ),
        "since": INSTANT,
        "leads": List(ID),
        "rows": List(
            Struct(
                {
                    "id": ID,
                    "system": NAME,
                    "category": TEXT,
                    "platform": TEXT,
                    "terms": TERMS,
                    "removed": Optional(INSTANT),
                }
            )
        ),
        "credentials": List(
            Struct(
                {
                    **CREDENTIAL_FACTS,
                    "current": Optional(VERSION),
                    "asked": Optional(Struct({"of": TEXT, "by": ID, "at": INSTANT})),
                    "settled": Optional(
                        Struct(
                            {
                                "version": COUNT,
                                "because": TEXT,
                                "confirmed": Optional(TEXT),
                                "by": ID,
                                "at": INSTANT,
                            }
                        )
                    ),
                }
            )
        ),
        "grants": List(
            Struct(
                {
                    "facts": FACTS,
                    "since": INSTANT,
                    "locked": Optional(ID),
                    "ended": Optional(ENDED),
                    "destroyed": Optional(INSTANT),
                }
            )
        ),
        "permissions": List(PERMISSION),
        "requests": List(
            Struct(
                {
                    "wish": WISH,
                    "by": ID,
                    "at": INSTANT,
                    "answer": Optional(
                        Enum(
                            {
                                "approved": Struct({"grant": ID, "by": ID, "at": INSTANT}),
                                "denied": Struct({"reason": TEXT, "by": ID, "at": INSTANT}),
                            }
                        )
                    ),
                }
            )
        ),
        "reviewed": Optional(INSTANT),
        "incidents": List(
            Struct(
                {
                    "facts": INCIDENT_FACTS,
                    "by": ID,
                    "opened": INSTANT,
                    "locked": List(ID),
                    "course": List(Struct({"step": STEP, "text": TEXT, "by": ID, "at": INSTANT})),
                    "closed": Optional(INSTANT),
                }
            )
        ),
        "evidence": List(Struct({"evidence": EVIDENCE, "by": ID, "at": INSTANT})),
    }
)


# ---------------------------------------------------------------------------------------------------------------------
# Section 3: signatures
# ---------------------------------------------------------------------------------------------------------------------

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493  # L

# The y-coordinates of the eight points of small order, and the two that can be written a second time as y + p, in
# 32 bytes little-endian without the sign bit: 0 (order 4), 1 (the identity), p - 1 (order 2), the two of order 8,
# p and p + 1.
SMALL_ORDER = {
    bytes.fromhex(y)
    for y in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
}


def has_small_order(point):
    return point[:31] + bytes([point[31] & 0x7F]) in SMALL_ORDER


@functools.lru_cache(maxsize=100_000)
def is_signature(key, message, signature):
    """Strict Ed25519: what `cryptography` (OpenSSL) leaves open is closed here.

    OpenSSL decodes A, compares the encoding of [S]B - [k]A with the bytes of R (so a non-canonical R fails, and no
    cofactor is multiplied). It does not refuse points of small order; S below L is checked here too, so as not to
    depend on its version.
    """
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= GROUP_ORDER:
        return False
    if has_small_order(key) or has_small_order(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


def pre_authentication(topic, data):
    return b"DSSEv1 %d %s %d %s" % (len(topic), topic.encode("ascii"), len(data), data)


def open_signed(signed, topic, key, what):
    """The bytes of a SIGNED, once it is certain that this key signed them under this topic."""
    data = from_base64(signed["bytes"])
    require(signed["key"] == key, f"{what} is signed by another key")
    good = is_signature(bytes.fromhex(key), pre_authentication(topic, data), from_base64(signed["sig"]))
    require(good, f"{what}: the signature is not good")
    return data


def parse(data, kind, what, canonical=False):
    value, again = load_json(data)
    try:
        kind.check(value)
    except Refused as fault:
        raise Refused(f"{what}: {fault}") from None
    require(not canonical or again == data, f"{what} is not in canonical JSON")
    return value


# ---------------------------------------------------------------------------------------------------------------------
# Section 4: whose keys are whose
# ---------------------------------------------------------------------------------------------------------------------


def fingerprint(root):
    digest = hashlib.sha256(bytes.fromhex(root)).hexdigest()[:32]
    return "-".join(digest[at : at + 4] for at in range(0, 32, 4))


def open_charters(root, charters):
    require(charters, "there is no charter")
    opened = []
    for number, signed in enumerate(charters, start=1):
        what = f"charter {number}"
        charter = parse(open_signed(signed, "mandatum-charter-v1", root, what), CHARTER, what)
        require(charter["number"] == number, f"{what} is out of order")
        for field in ("vault", "roster", "recovery"):
            require(charter[field] == (opened or [charter])[0][field], f"{what} is of another {field}")
        opened.append(charter)
    return opened


def open_admissions(root, vault, admissions):
    """Members by id: their bundle, and whether they ever were owner."""
    members = {}
    for at, signed in enumerate(admissions):
        what = f"admission {at + 1}"
        claimed = parse(from_base64(signed["bytes"]), ADMISSION, what)
        if claimed["by"] is None:
            signer = root
        else:
            require(members.get(claimed["by"], {}).get("was_owner"), f"{what}: who admits was no owner")
            signer = members[claimed["by"]]["bundle"]["sign"]
        open_signed(signed, "mandatum-admission-v1", signer, what)
        bundle = parse(from_base64(claimed["bundle"]["bytes"]), BUNDLE, what)
        open_signed(claimed["bundle"], "mandatum-bundle-v1", bundle["sign"], what)
        require(bundle["vault"] == vault, f"{what} is of another vault")
        before = members.get(bundle["member"])
        require(before is None or before["bundle"] == bundle, f"{what} changes a member's keys")
        was_owner = "owner" in claimed["roles"] or (before is not None and before["was_owner"])
        members[bundle["member"]] = {"bundle": bundle, "was_owner": was_owner}
    return members


# ---------------------------------------------------------------------------------------------------------------------
# Section 6: the request inside a record
# ---------------------------------------------------------------------------------------------------------------------


def open_request(record, members):
    """The member's request, or none where the broker acted by itself."""
    if record["by"] is None or record["request"] is None:
        alone = record["by"] is None and record["request"] is None and record["verb"] is None
        require(alone, "it names a member, a verb or a request, and not all three")
        return None
    require(record["by"] in members, "its member was not admitted")
    key = members[record["by"]]["bundle"]["sign"]
    request = parse(open_signed(record["request"], "mandatum-request-v1", key, "its request"), REQUEST, "its request")
    require(request["vault"] == record["vault"], "its request is of another vault")
    require(request["member"] == record["by"], "its request is of another member")
    require(request["verb"] == record["verb"], "its request has another verb")
    require(request["unit"] in (None, record["unit"]), "its request is about another mandate")
    return request


# event: the verbs it may have been asked by, the fields that must be what was asked, and whether ask.operator must
# name this operator ("must") or may be missing ("may")
FOLLOWS = {
    "granted": ("grant", "grant answers", None),
    "answered": ("mandate_answer", "questions reading", "must"),
    "activated": ("mandate_activate", "contract signed until source", "must"),
    "permitted": ("mandate_permit", "permission", "must"),
    "requested": ("request", "wish", "must"),
    "request_denied": ("deny", "request reason", "must"),
    "reviewed": ("review", "lines", "must"),
    "rotation_asked": ("rotation_ask", "credential of", "must"),
    "evidenced": ("mandate_evidence", "evidence", "must"),
    "incident_opened": ("incident_open", "facts", "may"),
    "incident_noted": ("incident_note", "incident step text", "may"),
    "incident_closed": ("incident_close", "incident unlock outcome", None),
    "credentials_added": ("credential_add", "credentials", None),
    "rotated": ("credential_rotate", "credential version second_factor", None),
    "amended": ("mandate_amend", "", "must"),
    "ended": ("mandate_end", "", "must"),
    "settled": ("mandate_settle", "", "must"),
    "closed": ("mandate_close", "", "must"),
    "extracted": ("extract", "", "must"),
    "revoked": ("revoke member_remove member_role grant", "", None),
    "released": ("fetch", "", None),
    "code_released": ("code", "", None),
}


def check_first_follows(ask, event):
    """The first record, whatever its verb."""
    name, fields = variant(event)
    due = {"opened": "operator contract signed until", "drafted": "operator contract draft"}.get(name)
    require(due is not None, "the ledger does not begin with a mandate")
    for field in due.split():
        require(same_json(ask.get(field), fields[field]), f"its {field} is not what was asked for")


def check_follows(verb, ask, event, mandate):
    """What happened is what the member's signed request asked for. `mandate` is as it was before the event."""
    name, fields = variant(event)
    require(name in FOLLOWS and verb in FOLLOWS[name][0].split(), f"nobody can ask for {name} by {verb}")
    _, same, operator = FOLLOWS[name]
    for field in same.split():
        require(same_json(ask.get(field), fields[field]), f"its {field} is not what was asked for")
    if operator == "must" or operator == "may" and ask.get("operator") is not None:
        require(mandate.is_named(ask.get("operator")), "its request names another operator")
    if verb == "revoke" and ask.get("of") is not None:
        of = ask["of"]
        require(isinstance(of, list) and of and mandate.is_named(of[0]), "its request names another operator")
    if name == "released":
        for item in fields["items"]:
            require(was_asked(ask, item), "it releases what was not asked for")
    if name == "code_released":
        require(was_asked(ask, fields), "it releases what was not asked for")


def was_asked(ask, item):
    items = ask.get("items")
    require(isinstance(items, list), "its request asks for nothing")
    return any(
        isinstance(asked, dict) and asked.get("credential") == item["credential"] and asked.get("grant") == item["grant"]
        for asked in items
    )


# ---------------------------------------------------------------------------------------------------------------------
# Section 9: the fold
# ---------------------------------------------------------------------------------------------------------------------

ONLY_IN = {
    "draft": {"answered", "activated", "ended", "extracted", "restarted"},
    "closed": {"extracted", "restarted"},
}
NEVER_IN = {
    "active": {"answered", "activated", "closed"},
    "ended": {
        "answered", "activated", "amended", "credentials_added", "granted", "released", "code_released", "ended",
        "requested", "reviewed", "permitted",
    },
}  # fmt: skip
BY_LEADS = {"answered", "activated", "amended", "credentials_added", "rotated", "request_denied", "reviewed", "granted"}
BY_MEMBERS = {"settled", "requested", "rotation_asked", "evidenced", "incident_opened", "incident_noted"}
BY_THE_BROKER = {"expired", "destroyed", "restarted", "reissued"}


class Mandate:
    """The state of a mandate, as its records make it."""

    def __init__(self, unit, event, by, at):
        name, e = variant(event)
        require(name in ("opened", "drafted"), "the ledger does not begin with a mandate")
        require(e["leads"] and by is not None, "nobody leads the mandate, or nobody opened it")
        self.unit, self.operator, self.contract, self.zone = unit, e["operator"], e["contract"], e["zone"]
        self.jurisdiction, self.leads, self.source, self.since = e["jurisdiction"], e["leads"], None, at
        self.rows, self.credentials, self.grants, self.permissions = [], [], [], []
        self.requests, self.reviewed, self.incidents, self.evidence = [], None, [], []
        if name == "opened":
            self.signed, self.until, self.term, self.phase = e["signed"], e["until"], e["term"], "active"
            self.change_rows(e["rows"], at)
            self.add_grants(e["grants"], at)
        else:
            self.signed = self.until = e["on"]
            self.term, self.phase = {"from": at, "until": at}, {"draft": dict(e["draft"])}

    def digest(self):
        return hashlib.sha256(STATE.encode(self.__dict__)).hexdigest()

    def is_named(self, said):
        if not isinstance(said, str):
            return False
        said = folded(unicodedata.normalize("NFC", said))
        return said in (folded(self.operator), folded(self.operator + "@" + self.contract))

    # ---- 1 and 2: what the phase allows, and who may cause it ----

    def apply(self, event, by, at):
        name, e = variant(event)
        phase = variant(self.phase)[0]
        allowed = name in ONLY_IN[phase] if phase in ONLY_IN else name not in NEVER_IN[phase]
        require(allowed and name not in ("opened", "drafted"), f"there is no {name} while the mandate is {phase}")
        self.check_author(name, e, by)
        getattr(self, "apply_" + name)(e, by, at)

    def check_author(self, name, e, by):
        if name in BY_LEADS:
            require(by in self.leads, f"{name} by somebody who does not lead the mandate")
        if name in BY_MEMBERS:
            require(by is not None, f"{name} by nobody")
        if name in BY_THE_BROKER:
            require(by is None, f"{name} by a member")
        if name == "granted":
            require(e["grant"]["member"] != by, "a lead granted to themselves")
            require(e["grant"]["origin"] == "given", "a grant with another origin than given")
            for request in self.requests:
                answered = request["wish"]["id"] == e["answers"] and request["by"] != e["grant"]["member"]
                require(not answered, "a request is answered by a grant to somebody else")
        if name == "released":
            require(all(self.holds(item["grant"], by) for item in e["items"]), "released to who holds no live grant")
        if name == "code_released":
            require(self.holds(e["grant"], by), "released to who holds no live grant")

    def holds(self, grant, member):
        return any(
            g["facts"]["id"] == grant and g["ended"] is None and g["facts"]["member"] == member for g in self.grants
        )

    # ---- 3: the effect of each event ----

    def apply_answered(self, e, by, at):
        self.phase["draft"].update(questions=e["questions"], reading=e["reading"])

    def apply_activated(self, e, by, at):
        draft = self.phase["draft"]
        require(draft["questions"] == 0, "a draft with open questions is put in force")
        require(draft["source"] == e["source"], "another file is put in force than was read")
        self.contract, self.signed, self.until, self.term = e["contract"], e["signed"], e["until"], e["term"]
        self.source, self.phase, self.since = e["source"], "active", at
        self.change_rows(e["rows"], at)
        self.add_grants(e["grants"], at)

    def apply_permitted(self, e, by, at):
        for row in e["permission"]["rows"]:
            require(self.live_row(row), "a permission for a row that is not there")
        self.permissions.append(e["permission"])

    def apply_requested(self, e, by, at):
        require(e["wish"]["levels"], "a request for no level")
        require(all(r["wish"]["id"] != e["wish"]["id"] for r in self.requests), "a request is made twice")
        require(sum(r["answer"] is None for r in self.requests) < 500, "too many requests wait")
        self.requests.append({"wish": e["wish"], "by": by, "at": at, "answer": None})

    def apply_request_denied(self, e, by, at):
        self.answer(e["request"], by, {"denied": {"reason": e["reason"], "by": by, "at": at}})

    def apply_reviewed(self, e, by, at):
        for line in e["lines"]:
            grant = self.grant(line["grant"])
            require(grant["ended"] is None, "a review of a grant that has ended")
            decision, narrow = variant(line["decision"])
            if decision == "narrow":
                facts = grant["facts"]
                require(narrow["levels"] and is_within(narrow["levels"], facts["levels"]), "a review widens levels")
                inside = facts["term"]["from"] < narrow["until"] <= facts["term"]["until"]
                require(inside, "a review gives a term that is empty or longer")
                facts["levels"] = narrow["levels"]
                facts["term"] = {"from": facts["term"]["from"], "until": narrow["until"]}
        self.reviewed = at

    def apply_rotation_asked(self, e, by, at):
        self.credential(e["credential"])["asked"] = {"of": e["of"], "by": by, "at": at}

    def apply_evidenced(self, e, by, at):
        what, fields = variant(e["evidence"])
        if what == "revoked":
            self.credential(fields["credential"])
        self.evidence.append({"evidence": e["evidence"], "by": by, "at": at})

    def apply_incident_opened(self, e, by, at):
        facts = e["facts"]
        require(all(i["facts"]["id"] != facts["id"] for i in self.incidents), "an incident is opened twice")
        reached = [
            g for g in self.grants if g["ended"] is None and facts["member"] in (None, g["facts"]["member"])
        ]
        require(e["grants"] == [g["facts"]["id"] for g in reached], "an incident locks other grants than it reaches")
        for grant in reached:
            grant["locked"] = facts["id"]
        self.incidents.append(
            {"facts": facts, "by": by, "opened": at, "locked": e["grants"], "course": [], "closed": None}
        )

    def apply_incident_noted(self, e, by, at):
        self.open_incident(e["incident"])["course"].append({"step": e["step"], "text": e["text"], "by": by, "at": at})

    def apply_incident_closed(self, e, by, at):
        incident = self.open_incident(e["incident"])
        incident["closed"] = at
        for grant in self.grants:
            if e["unlock"] and grant["locked"] == incident["facts"]["id"]:
                grant["locked"] = self.lock_for(grant["facts"]["member"])

    def apply_amended(self, e, by, at):
        self.change_rows(e["changes"], at)
        self.add_grants(e["grants"], at)
        require(e["narrowed"] == self.narrowed_by(e["changes"]), "an amendment names other grants than it narrowed")

    def apply_credentials_added(self, e, by, at):
        for facts in e["credentials"]:
            require(self.live_row(facts["row"]), "a credential under a row that is not there")
            version = facts["version"]
            for other in self.credentials:
                require(other["id"] != facts["id"], "a credential is added twice")
                taken = other["row"] == facts["row"] and folded(other["name"]) == folded(facts["name"])
                require(not taken, "two credentials of a row have one name")
            require((version is None) == (facts["kind"] == "delegated"), "a secret where none may be, or none")
            require(version is None or version["number"] == 1, "a credential does not begin with version 1")
            kept = {name: value for name, value in facts.items() if name != "version"}
            self.credentials.append({**kept, "current": version_of(version, by, at), "asked": None, "settled": None})

    def apply_rotated(self, e, by, at):
        credential = self.credential(e["credential"])
        if e["version"] is not None:
            number = credential["current"]["number"] if credential["current"] else 0
            require(e["version"]["number"] == number + 1, "a version is left out or repeated")
            credential["current"], credential["asked"] = version_of(e["version"], by, at), None
        if e["second_factor"] is not None:
            credential["second_factor"] = e["second_factor"]

    def apply_granted(self, e, by, at):
        self.add_grants([e["grant"]], at)
        if e["answers"] is not None:
            self.answer(e["answers"], by, {"approved": {"grant": e["grant"]["id"], "by": by, "at": at}})

    def apply_revoked(self, e, by, at):
        self.end_grants(e["grants"], e["why"], at)

    def apply_expired(self, e, by, at):
        self.end_grants(e["grants"], "term", at)

    def apply_destroyed(self, e, by, at):
        for id in e["grants"]:
            grant = self.grant(id)
            require(grant["ended"] is not None and grant["destroyed"] is None, "a live key, or a dead one, is destroyed")
            grant["destroyed"] = at

    def apply_ended(self, e, by, at):
        self.phase = {"ended": {"at": at, "why": e["why"]}}
        self.end_grants([g["facts"]["id"] for g in self.grants if g["ended"] is None], "mandate_ended", at)

    def apply_settled(self, e, by, at):
        settled = {field: e[field] for field in ("version", "because", "confirmed")}
        self.credential(e["credential"])["settled"] = {**settled, "by": by, "at": at}

    def apply_closed(self, e, by, at):
        self.phase = {"closed": {"at": at, "retain_until": e["retain_until"]}}

    def apply_reissued(self, e, by, at):
        self.end_grants(e["replaced"], "key_lost", at)
        for id in e["replaced"]:
            self.grant(id)["destroyed"] = at
        self.add_grants(e["grants"], at)

    def apply_nothing(self, e, by, at):
        pass

    apply_restarted = apply_released = apply_code_released = apply_extracted = apply_nothing

    # ---- what the events are made of ----

    def grant(self, id):
        return the(self.grants, lambda g: g["facts"]["id"] == id, "a grant")

    def credential(self, id):
        return the(self.credentials, lambda c: c["id"] == id, "a credential")

    def open_incident(self, id):
        incident = the(self.incidents, lambda i: i["facts"]["id"] == id, "an incident")
        require(incident["closed"] is None, "an incident that is closed goes on")
        return incident

    def live_row(self, id):
        return next((row for row in self.rows if row["id"] == id and row["removed"] is None), None)

    def lock_for(self, member):
        for incident in self.incidents:
            if incident["closed"] is None and incident["facts"]["member"] in (None, member):
                return incident["facts"]["id"]
        return None

    def answer(self, id, by, said):
        request = the(self.requests, lambda r: r["wish"]["id"] == id, "a request")
        require(request["answer"] is None, "a request is answered twice")
        require(request["by"] != by, "somebody answers their own request")
        request["answer"] = said

    def change_rows(self, changes, at):
        for change in changes:
            what, c = variant(change)
            if what == "add":
                require(all(row["id"] != c["row"] for row in self.rows), "a row is added twice")
                systems = [row["system"] for row in self.rows if row["removed"] is None]
                require(c["system"] not in systems, "two rows are of one system")
                self.check_terms(c["terms"])
                fields = {field: c[field] for field in ("system", "category", "platform", "terms")}
                self.rows.append({"id": c["row"], **fields, "removed": None})
            elif what == "until":
                self.shorten(c["until"], c["term"], at)
            else:
                row = self.live_row(c["row"])
                require(row, "a row that is not there is changed")
                if what == "set":
                    self.check_terms(c["terms"])
                    row["terms"] = c["terms"]
                else:
                    row["removed"] = at
                self.narrow_under(c["row"], at)

    def shorten(self, until, term, at):
        self.until, self.term = until, term
        for row in [row for row in self.rows if row["removed"] is None]:
            terms, met = row["terms"], meet(row["terms"]["term"], term)
            if met is None:
                row["removed"] = at
            elif met != terms["term"]:
                row["terms"] = {**terms, "term": met, "until": min(until, terms["until"])}
            self.narrow_under(row["id"], at)

    def check_terms(self, terms):
        require(terms["levels"] and terms["purposes"], "a row without levels or purposes")
        require(lies_within(terms["term"], self.term), "a row reaches beyond the mandate")

    def narrow_under(self, row, at):
        live = self.live_row(row)
        for grant in self.grants:
            facts = grant["facts"]
            if grant["ended"] is not None or facts["row"] != row:
                continue
            cut = live and cut_to(facts, live["terms"], grant["since"])
            if cut is None:
                grant["ended"] = {"at": at, "why": "amended"}
            else:
                facts.update(cut)

    def narrowed_by(self, changes):
        whole, rows = False, set()
        for change in changes:
            what, c = variant(change)
            whole |= what == "until"
            if what in ("set", "remove"):
                rows.add(c["row"])
        return [
            {"grant": g["facts"]["id"], "until": g["facts"]["term"]["until"], "ended": g["ended"] is not None}
            for g in self.grants
            if (whole or g["facts"]["row"] in rows)
            and (g["ended"] is None or g["ended"]["why"] == "amended")
            and g["destroyed"] is None
        ]

    def add_grants(self, grants, at):
        for facts in grants:
            row = self.live_row(facts["row"])
            require(row, "a grant under a row that is not there")
            terms = row["terms"]
            require(facts["levels"] and is_within(facts["levels"], terms["levels"]), "a grant has levels its row has not")
            require(
                facts["purposes"] and is_within(facts["purposes"], terms["purposes"]),
                "a grant has purposes its row has not",
            )
            require(lies_within(facts["term"], terms["term"]), "a grant reaches beyond its row")
            require(facts["term"]["until"] <= grant_end(terms, at), "a grant lasts longer than its row allows")
            require(all(g["facts"]["id"] != facts["id"] for g in self.grants), "a grant is made twice")
            require(facts["origin"] != "lead" or facts["member"] in self.leads, "a lead's grant for somebody else")
            locked = self.lock_for(facts["member"])
            self.grants.append({"facts": dict(facts), "since": at, "locked": locked, "ended": None, "destroyed": None})

    def end_grants(self, ids, why, at):
        for id in ids:
            grant = self.grant(id)
            require(grant["ended"] is None, "a grant ends twice")
            grant["ended"] = {"at": at, "why": why}


def the(items, fits, what):
    found = next(filter(fits, items), None)
    require(found is not None, f"{what} that is not there is named")
    return found


def is_within(inner, outer):
    return all(item in outer for item in inner)


def lies_within(inner, outer):
    return outer["from"] <= inner["from"] and inner["until"] <= outer["until"]


def meet(a, b):
    start, end = max(a["from"], b["from"]), min(a["until"], b["until"])
    return {"from": start, "until": end} if start < end else None


def grant_end(terms, at):
    return LAST_INSTANT if terms["grant_days"] is None else min(at + terms["grant_days"] * DAY, LAST_INSTANT)


def cut_to(facts, terms, since):
    """What is left of a grant under a row with these terms, or none."""
    if facts["origin"] == "lead":
        term = {"from": terms["term"]["from"], "until": min(terms["term"]["until"], grant_end(terms, since))}
        return {"levels": terms["levels"], "purposes": terms["purposes"], "term": term}
    levels = [level for level in facts["levels"] if level in terms["levels"]]
    purposes = [purpose for purpose in facts["purposes"] if purpose in terms["purposes"]]
    term = meet(facts["term"], terms["term"])
    return {"levels": levels, "purposes": purposes, "term": term} if levels and purposes and term else None


def version_of(version, by, at):
    return version and {**version, "at": at, "author": by}


# ---------------------------------------------------------------------------------------------------------------------
# Section 11: tree and checkpoint
# ---------------------------------------------------------------------------------------------------------------------


def leaf(salt, record):
    return hashlib.sha256(b"\x00" + hashlib.sha256(bytes.fromhex(salt) + record).digest()).digest()


def tree_root(leaves):
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\x01" + tree_root(leaves[:split]) + tree_root(leaves[split:])).digest()


def check_checkpoint(note, charter, unit, leaves):
    origin = f"mandatum/{charter['vault']}/{unit}"
    root = tree_root(leaves)
    text = f"{origin}\n{len(leaves)}\n{base64.b64encode(root).decode()}\n"
    require(note.startswith(text + "\n"), "the checkpoint is not of these records")
    signature = re.fullmatch(f"— {re.escape(origin)} ([^ \n]+)\n", note[len(text) + 1 :])
    require(signature, "the checkpoint has not exactly one signature")
    signed = from_base64(signature[1])
    key = bytes.fromhex(charter["checkpoint_key"])
    key_id = hashlib.sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
    good = signed[:4] == key_id and is_signature(key, text.encode("utf-8"), signed[4:])
    require(good, "the checkpoint is not signed by the broker's checkpoint key")
    return root


# ---------------------------------------------------------------------------------------------------------------------
# Section 2: the extract, from its first line to its last
# ---------------------------------------------------------------------------------------------------------------------


def read_lines(data):
    require(data.endswith(b"\n"), "the last line is cut off")
    lines = data[:-1].split(b"\n")
    require(len(lines) >= 2, "there are no lines")
    require(all(len(line) <= LONGEST_LINE for line in lines), "a line is too long")
    head = parse(lines[0], HEAD_LINE, "line 1", canonical=True)
    require(head["mandatum_extract"] == 1, f"format {head['mandatum_extract']} is not known")
    records = [parse(line, RECORD_LINE, f"line {at}", canonical=True) for at, line in enumerate(lines[1:-1], start=2)]
    last = parse(lines[-1], LAST_LINE, "the last line", canonical=True)
    return head, records, last["checkpoint"]


def open_record(line, at, charters, unit):
    what = f"record {at}"
    data = line["record"].encode("utf-8")
    require(line["key"] in [charter["record_key"] for charter in charters], f"{what} is not signed by the broker")
    message = pre_authentication("mandatum-record-v1", data)
    good = is_signature(bytes.fromhex(line["key"]), message, from_base64(line["sig"]))
    require(good, f"{what}: the signature is not good")
    record = parse(data, RECORD, what, canonical=True)
    require(record["format"] == 1, f"{what} has a format that is not known")
    expected = (charters[0]["vault"], unit, at)
    require((record["vault"], record["unit"], record["seq"]) == expected, f"{what} stands in another place")
    return record


def take_record(record, mandate, members, released):
    """Compares a record with its request, and applies its event. Gives the mandate back as it is after it."""
    request = open_request(record, members)
    outcome, event = variant(record["outcome"])
    if mandate is None:
        require(outcome == "mandate", "the ledger does not begin with a mandate")
        if request is not None:
            check_first_follows(ask_of(request), event)
        mandate = Mandate(record["unit"], event, record["by"], record["at"])
    elif outcome == "mandate":
        if request is not None:
            check_follows(record["verb"], ask_of(request), event, mandate)
        mandate.apply(event, record["by"], record["at"])
        if variant(event)[0] in ("released", "code_released"):
            signature = record["request"]["sig"]
            require(signature not in released, "a request is used for a second release")
            released.add(signature)
    if record["state"] is not None:
        require(record["state"] == mandate.digest(), "the state after it is not as it says")
    return mandate


def ask_of(request):
    require(isinstance(request["ask"], dict), "its request asks for nothing")
    return request["ask"]


def verify(data, root=None):
    """The report on an extract. Raises Refused where anything does not hold."""
    head, lines, note = read_lines(data)
    print_of_root = fingerprint(head["root"])
    require(root in (None, print_of_root), f"it is signed by root {print_of_root}, not by {root}")
    charters = open_charters(head["root"], head["charters"])
    members = open_admissions(head["root"], charters[0]["vault"], head["admissions"])
    records = [open_record(line, at, charters, head["unit"]) for at, line in enumerate(lines)]
    leaves = [leaf(line["salt"], line["record"].encode("utf-8")) for line in lines]
    tree = check_checkpoint(note, charters[-1], head["unit"], leaves)
    mandate, released = None, set()
    for at, record in enumerate(records):
        try:
            mandate = take_record(record, mandate, members, released)
        except Refused as fault:
            raise Refused(f"record {at}: {fault}") from None
    require(mandate is not None, "there are no records")
    solo = any(record["assurance"] == "solo" for record in records)
    return {
        "operator": mandate.operator,
        "contract": mandate.contract,
        "records": len(records),
        "root_hash": tree.hex(),
        "root_fingerprint": print_of_root,
        "root_checked": root is not None,
        "denials": sum(variant(record["outcome"])[0] == "denied" for record in records),
        "assurance": "solo" if solo else "account or host",
    }


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def verdict(data, root=None):
    """Exit code and report."""
    try:
        return 0, verify(data, root)
    except Refused as fault:
        return 6, {"error": {"exit": 6, "message": str(fault)}}


def sentence(code, report):
    if code:
        return f"The extract does not hold: {report['error']['message']}"
    checked = "as given" if report["root_checked"] else "not compared with anything: give --root"
    return (
        f"The extract holds: {report['records']} records of the mandate of {report['operator']} (contract "
        f"{report['contract']}), {report['denials']} denials, head {report['root_hash']}, assurance "
        f"'{report['assurance']}', root {report['root_fingerprint']} ({checked})."
    )


def answer_stream():
    """Many extracts in one process: each as eight bytes of length, big-endian, and its bytes; a JSON line for each."""
    while prefix := sys.stdin.buffer.read(8):
        code, report = verdict(sys.stdin.buffer.read(int.from_bytes(prefix, "big")))
        print(json.dumps({"exit": code, **report}), flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("extract", metavar="EXTRACT", help="the file; with --stream, - for standard input")
    arguments.add_argument("--root", metavar="FINGERPRINT", help="the root fingerprint, as the agency gave it to you")
    arguments.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments.add_argument("--stream", action="store_true", help="read many extracts, each after its length")
    asked = arguments.parse_args()
    if asked.stream:
        answer_stream()
        return 0
    try:
        with open(asked.extract, "rb") as file:
            data = file.read()
    except OSError as fault:
        print(f"{asked.extract}: {fault.strerror}", file=sys.stderr)
        return 7
    code, report = verdict(data, asked.root)
    print(json.dumps(report, ensure_ascii=False, indent=2) if asked.json else sentence(code, report))
    return code


if __name__ == "__main__":
    sys.exit(main())
