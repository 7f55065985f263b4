#!/usr/bin/env python3
"""Verify a mandatum extract without mandatum.

    verify_extract.py EXTRACT [--root FINGERPRINT] [--checkpoint NOTE-FILE]… [--json]

Prints one line of verdict. Exit code 0: the extract holds; 6: it does not, or is not an extract, or an earlier
checkpoint does not fit; 7: a file cannot be read, or what is named as a checkpoint is no short text. It needs Python
3.9 or newer and the package `cryptography`, nothing else: no vault, no network.

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
import zoneinfo

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

DAY = 86_400_000
LAST_INSTANT = 2**63 - 1
LONGEST_LINE = 64 * 1024 * 1024
LONGEST_NOTE = 16 * 1024
DEEPEST_JSON = 127
MOST_WAITING, MOST_PURPOSES = 500, 20


class Refused(Exception):
    """The extract does not verify; the text says why."""


class Unreadable(Exception):
    """A file cannot be read, or is no text."""


def require(holds, why):
    if not holds:
        raise Refused(why)


# ---------------------------------------------------------------------------------------------------------------------
# Section 1: strict JSON
# ---------------------------------------------------------------------------------------------------------------------


def load_json(data):
    """The one JSON value in these bytes, read strictly: no field twice."""
    return read_json(data, object_pairs_hook=object_without_repeats)


def load_request(data):
    """A request is read as any JSON value is: of a field that stands twice, the last counts.

    What is no JSON is none in the other ones too, so all of it is looked at first, with objects as lists of pairs.
    """
    read_json(data, object_pairs_hook=list)
    return read_json(data)


def read_json(data, **hooks):
    try:
        text = data.decode("utf-8")
        value = json.loads(text, parse_int=integer, parse_float=fraction, parse_constant=refuse_number, **hooks)
        canonical(value)  # what cannot be written as UTF-8 is refused: half of a surrogate pair
        require(depth(value) <= DEEPEST_JSON, "JSON that is nested too deeply")
        return value
    except (ValueError, RecursionError) as fault:
        raise Refused(f"not JSON: {fault}") from None


def canonical(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def object_without_repeats(pairs):
    result = dict(pairs)
    require(len(result) == len(pairs), "a JSON object has a field twice")
    return result


def integer(text):
    """What needs more than 64 bits, and minus zero, is no integer of the page."""
    return int(text) if text != "-0" and -(2**63) <= int(text) < 2**64 else fraction(text)


def fraction(text):
    number = float(text)
    return number if abs(number) != float("inf") else refuse_number(text)


def refuse_number(text):
    raise Refused(f"{text} is no JSON number")


def depth(value):
    """Arrays and objects inside each other, the outermost too. An object may be a list of pairs."""
    if isinstance(value, tuple):
        return depth(value[1])
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inside is None else 1 + max(map(depth, inside), default=0)


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
        require(1 <= len(value) <= 80 and is_clean(value) and not re.search("[/\n\t]", value), f"{value!r} is no name")


class Zone(Raw):
    def check(self, value):
        super().check(value)
        require(len(value.encode("utf-8")) <= 64, f"{value!r} is no time zone")


class Date(Raw):
    def check(self, value):
        super().check(value)
        require(re.fullmatch("2[01][0-9]{2}-[0-9]{2}-[0-9]{2}", value), f"{value!r} is no date")
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
    def __init__(self, inner, ascending=False):
        self.inner, self.ascending = inner, ascending

    def check(self, value):
        require(isinstance(value, list), f"{value!r} is no list")
        for item in value:
            self.inner.check(item)
        if self.ascending:
            places = [self.inner.encode(item) for item in value]
            require(all(a < b for a, b in zip(places, places[1:])), f"{value!r} is not in order, or repeats itself")

    def encode(self, value):
        return leb128(len(value)) + b"".join(map(self.inner.encode, value))


class Struct:
    """An object with exactly these fields in this order."""

    def __init__(self, fields):
        self.fields = fields

    def check(self, value):
        require(isinstance(value, dict), f"{value!r} is no object")
        require(list(value) == list(self.fields), f"an object has the fields {list(value)}, not {list(self.fields)}")
        for name, kind in self.fields.items():
            kind.check(value[name])

    def encode(self, value):
        return b"".join(kind.encode(value[name]) for name, kind in self.fields.items())


class Enum:
    """A string for a variant without fields, `{"variant": fields}` for one with fields."""

    def __init__(self, variants):
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
    return text == trimmed(unicodedata.normalize("NFC", text)) and not UNSAFE.search(text)


# Control characters but line feed and tab; what is not seen, reorders, or means something only in private.
UNSAFE = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f-\u1160\u17b4-\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff\U000f0000-\U0010ffff]"
)
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"


def trimmed(text):
    return text.strip(WHITE_SPACE)


def folded(text):
    lower = unicodedata.normalize("NFC", text).lower().replace("ё", "е")
    return re.sub(f"[{WHITE_SPACE}]+", " ", lower).strip(" ")


def same_name(a, b):
    return folded(a) == folded(b)


# ---------------------------------------------------------------------------------------------------------------------
# Sections 2, 4, 5, 7 and 10: what an extract and the state of a mandate are made of
# ---------------------------------------------------------------------------------------------------------------------

# Written as in section 10. `name:type` is a field; `type?` may be null, `[type]` is a list, `<type>` a list in
# ascending order without repeats; `|` stands between the variants of an enumeration, which have no content, or fields
# after a colon, or the content whose type stands in parentheses. A line that is indented goes on with the one before.
SCHEMA = """
signed        = bytes:blob key:key sig:blob
head_line     = mandatum_extract:u32 root:key unit:id charters:[signed] admissions:[signed]
record_line   = salt:digest key:key sig:blob record:string
last_line     = checkpoint:string

charter       = vault:id number:u32 roster:id record_key:key checkpoint_key:key recovery:string
role          = owner | lead | specialist | auditor | external
admission     = bundle:signed roles:<role> by:id?
bundle        = vault:id member:id name:name device:name sign:key enc:string

verb          = unlock | lock | step_up | member_add | member_list | member_role | member_suspend | member_resume
                | member_factor | member_remove | member_invite | member_pending | member_confirm | member_reject
                | device_list | device_remove | mandate_open | mandate_import | mandate_answer | mandate_activate
                | mandate_permit | mandate_evidence | mandate_list | mandate_show | mandate_amend | mandate_end
                | mandate_settle | mandate_close | credential_add | credential_rotate | credential_list | locate
                | reuse | recipients | grant | wrap_share | revoke | request | deny | review | rotation_ask
                | incident_open | incident_note | incident_close | incident_list | fetch | code | log | extract
                | checkpoint | exposure | verify | sweep | due | status | backup | confirm_clock
deny          = MANDATE_NOT_ACTIVE | TERM_NOT_STARTED | TERM_EXPIRED | GRANT_LOCKED | NOT_GRANTED | ROLE_FORBIDS
                | MFA_REQUIRED | MFA_REPLAYED | PURPOSE_REQUIRED | PURPOSE_OUTSIDE_ROW | SECRET_DESTROYED
                | CLOCK_SUSPECT | LEDGER_UNAVAILABLE | VAULT_ROLLED_BACK

term          = from:instant until:instant
jurisdiction  = ru | eu
level         = view | reply | edit | moderate | publish | analytics | configure | export | delete | admin
terms         = data:[text] levels:<level> purposes:[text] from:date until:date term:term grant_days:u32?
row_change    = add: row:id system:name category:text platform:text terms:terms | set: row:id terms:terms
                | remove: row:id | until: until:date term:term
origin        = lead | given
facts         = id:id member:id row:id levels:<level> purposes:[text] term:term origin:origin
strength      = random | strong | fair | weak
new_version   = number:u32 ct:digest tag:id strength:strength allowed_weak:text?
kind          = login | api_key | bot_token | webhook | oauth_token | recovery_codes | note | delegated
second_factor = on | elsewhere: holder:text | not_possible: reason:text at:instant | unknown
revocation    = endpoint:text probe:text client:text
new_credential = id:id row:id name:text kind:kind account:text url:text second_factor:second_factor
                revocation:revocation? because:text? version:new_version?
why           = term | asked: reason:text | amended | mandate_ended | member_removed | key_lost
draft         = source:digest questions:u32 reading:blob
permission    = member:id rows:<id> until:date? source:digest file:text
wish          = id:id system:text levels:<level> purposes:[text] until:date? reason:text
decision      = keep | narrow: levels:<level> until:instant | revoke
reviewed      = grant:id decision:decision note:text
choice        = return | delete
evidence      = revoked: credential:id how:text by:text proof:digest?
                | copies: by:text none:bool declaration:text proof:digest? | chosen: choice:choice by:text
                | returned: recipient:text package:digest credentials:u32
incident_kind = device_lost | password_compromised | unauthorised_access | misdirected_transfer | security_incident
incident_facts = id:id kind:incident_kind member:id? detected:instant since:instant? note:text
step          = notice | instruction | execution | finding
narrowed      = grant:id until:instant ended:bool
item          = credential:id version:u32 grant:id
shared_item   = credential:id version:u32

event         = opened: operator:name contract:text signed:date until:date zone:zone term:term
                    jurisdiction:jurisdiction leads:[id] rows:[row_change] grants:[facts]
                | drafted: operator:name contract:text zone:zone jurisdiction:jurisdiction on:date leads:[id]
                    draft:draft
                | answered: questions:u32 reading:blob
                | activated: contract:text signed:date until:date term:term source:digest rows:[row_change]
                    grants:[facts]
                | permitted: permission:permission
                | requested: wish:wish
                | request_denied: request:id reason:text
                | reviewed: lines:[reviewed]
                | rotation_asked: credential:id of:text
                | evidenced: evidence:evidence
                | incident_opened: facts:incident_facts grants:[id]
                | incident_noted: incident:id step:step text:text
                | incident_closed: incident:id unlock:bool outcome:text
                | amended: changes:[row_change] grants:[facts] narrowed:[narrowed]
                | credentials_added: credentials:[new_credential]
                | rotated: credential:id version:new_version? second_factor:second_factor?
                | granted: grant:facts answers:id?
                | revoked: grants:[id] why:why
                | expired: grants:[id]
                | destroyed: grants:[id] epoch:u64
                | released: items:[item] purpose:text
                | code_released: credential:id grant:id purpose:text
                | shared: grant:id device:key items:[shared_item]
                | ended: why:why
                | settled: credential:id version:u32 because:text confirmed:text?
                | closed: retain_until:instant
                | restarted: known:u64 root:digest found:u64
                | reissued: grants:[facts] replaced:[id]
                | extracted

clock         = trusted | suspect
assurance     = solo | account | host
outcome       = mandate(event) | denied(deny) | refused
record        = format:u32 vault:id unit:id seq:u64 at:instant clock:clock assurance:assurance verb:verb? by:id?
                request:signed? outcome:outcome state:digest?

ended         = at:instant why:why
phase         = draft(draft) | active | ended(ended) | closed: at:instant retain_until:instant
row           = id:id system:name category:text platform:text terms:terms removed:instant?
version       = number:u32 at:instant author:id ct:digest tag:id strength:strength allowed_weak:text?
asked         = of:text by:id at:instant
settled       = version:u32 because:text confirmed:text? by:id at:instant
credential    = id:id row:id name:text kind:kind account:text url:text second_factor:second_factor
                revocation:revocation? because:text? current:version? asked:asked? settled:settled?
grant         = facts:facts since:instant locked:id? ended:ended? destroyed:instant?
answer        = approved: grant:id by:id at:instant | denied: reason:text by:id at:instant
request       = wish:wish by:id at:instant answer:answer?
entry         = step:step text:text by:id at:instant
incident      = facts:incident_facts by:id opened:instant locked:[id] course:[entry] closed:instant?
recorded      = evidence:evidence by:id at:instant
mandate       = unit:id operator:name contract:text signed:date until:date zone:zone term:term
                jurisdiction:jurisdiction source:digest? phase:phase since:instant leads:[id] rows:[row]
                credentials:[credential] grants:[grant] permissions:[permission] requests:[request]
                reviewed:instant? incidents:[incident] evidence:[recorded]
"""
# Events of the roster stand in no extract: a record with one is refused as an outcome that is not known.


def read_schema(schema):
    types = {
        "id": Hex(16), "digest": Hex(32), "key": Hex(32), "u32": Unsigned(32), "u64": Unsigned(64),
        "instant": Instant(), "date": Date(), "zone": Zone(), "name": Name(), "text": Text(), "string": Raw(),
        "blob": Blob(), "bool": Bool(),
    }  # fmt: skip

    def named(word):
        if word.endswith("?"):
            return Optional(named(word[:-1]))
        if word[0] in "[<":
            return List(named(word[1:-1]), ascending=word[0] == "<")
        return types[word]

    def struct(words):
        return Struct({name: named(word) for name, word in (pair.split(":") for pair in words.split())})

    def variant_of(words):
        name, content, fields = re.fullmatch(r"(\w+)(?:\((\w+)\)|: (.*))?", words.strip()).groups()
        return name, types[content] if content else struct(fields) if fields else None

    for line in re.sub(r"\n +", " ", schema).split("\n"):
        if line:
            name, form = (part.strip() for part in line.split("=", 1))
            types[name] = Enum(dict(map(variant_of, form.split("|")))) if "|" in form else struct(form)
    return types


TYPES = read_schema(SCHEMA)


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


def parse(data, kind, what):
    """A value of this type, in canonical JSON."""
    value = load_json(data)
    try:
        TYPES[kind].check(value)
    except Refused as fault:
        raise Refused(f"{what}: {fault}") from None
    require(canonical(value) == data, f"{what} is not in canonical JSON")
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
        charter = parse(open_signed(signed, "mandatum-charter-v1", root, what), "charter", what)
        require(charter["number"] == number, f"{what} is out of order")
        for field in ("vault", "roster", "recovery"):
            require(charter[field] == (opened or [charter])[0][field], f"{what} is of another {field}")
        opened.append(charter)
    return opened


def open_admissions(root, vault, admissions):
    """Members by id: the bundles of their devices, and whether they ever were owner."""
    members = {}
    for at, signed in enumerate(admissions):
        what = f"admission {at + 1}"
        claimed = parse(from_base64(signed["bytes"]), "admission", what)
        if claimed["by"] is None:
            signer = root
        else:
            require(members.get(claimed["by"], {}).get("was_owner"), f"{what}: who admits was no owner")
            signer = key_of(members[claimed["by"]], signed, what)
        open_signed(signed, "mandatum-admission-v1", signer, what)
        bundle = parse(from_base64(claimed["bundle"]["bytes"]), "bundle", what)
        open_signed(claimed["bundle"], "mandatum-bundle-v1", bundle["sign"], what)
        require(bundle["vault"] == vault, f"{what} is of another vault")
        for known in (known for member in members.values() for known in member["bundles"]):
            other = known["sign"] != bundle["sign"] and known["enc"] != bundle["enc"]
            require(other or known == bundle, f"{what} gives a key to another device")
        member = members.setdefault(bundle["member"], {"bundles": [], "was_owner": False})
        require(all(known["name"] == bundle["name"] for known in member["bundles"]), f"{what} changes a member's name")
        if bundle not in member["bundles"]:
            member["bundles"].append(bundle)
        member["was_owner"] |= "owner" in claimed["roles"]
    return members


def key_of(member, signed, what):
    """The key a SIGNED names, if it is of one of the member's devices."""
    require(signed["key"] in [bundle["sign"] for bundle in member["bundles"]], f"{what} is signed by another key")
    return signed["key"]


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
    key = key_of(members[record["by"]], record["request"], "its request")
    request = load_request(open_signed(record["request"], "mandatum-request-v1", key, "its request"))
    require(isinstance(request, dict), "its request is no object")
    require(request.get("vault") == record["vault"], "its request is of another vault")
    require(request.get("member") == record["by"], "its request is of another member")
    require(record["verb"] is not None and request.get("verb") == record["verb"], "its request has another verb")
    unit = request.get("unit")
    require(not isinstance(unit, str) or unit == record["unit"], "its request is about another mandate")
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
    "settled": ("mandate_settle", "because confirmed", "must"),
    "closed": ("mandate_close", "", "must"),
    "extracted": ("extract", "", "must"),
    "revoked": ("revoke member_remove member_role grant", "", None),
    "shared": ("wrap_share", "grant device items", None),
    "released": ("fetch", "", None),
    "code_released": ("code", "", None),
}


# first event: its verb, and the fields that must be what was asked
BEGINS = {
    "opened": ("mandate_open", "operator contract signed until jurisdiction"),
    "drafted": ("mandate_import", "operator contract draft jurisdiction"),
}


def check_first_follows(verb, by, ask, event, members):
    name, fields = variant(event)
    require(name in BEGINS, "the ledger does not begin with a mandate")
    asked_by, same = BEGINS[name]
    require(verb == asked_by, f"nobody can ask for {name} by {verb}")
    for field in same.split():
        require(same_json(ask.get(field), fields[field]), f"its {field} is not what was asked for")
    require(ask.get("zone") in (None, fields["zone"]), "its zone is not what was asked for")
    require(len(fields["leads"]) == 1, "another number of leads than was asked for")
    lead, said = fields["leads"][0], ask.get("lead")
    if said is None:
        require(lead == by, "who asked does not lead")
    else:
        known = lead in members and isinstance(said, str) and same_name(members[lead]["bundles"][0]["name"], said)
        require(known, "somebody else leads than was asked for")
    if name == "opened":
        check_table(ask, fields)


def check_table(ask, fields):
    """A table that comes into force with its mandate is the one that was written down, between the days of it."""
    days = (fields["signed"], fields["until"])
    require(is_of_days(fields["term"], *days), "its term is not what its days mean anywhere")
    check_added(listed(ask, "rows"), fields["rows"], days)


def check_added(specs, changes, days):
    """New rows are those that were written down, with these days where a row names none."""
    require(len(specs) == len(changes), "another number of rows than was asked for")
    for spec, change in zip(specs, changes):
        what, row = variant(change)
        require(what == "add" and isinstance(spec, dict), "a change of a row that was not asked for")
        terms = row["terms"]
        for field in ("system", "category", "platform"):
            require(same_json(spec.get(field), row[field]), f"a row's {field} is not what was asked for")
        for field in ("data", "levels", "purposes", "grant_days"):
            require(same_json(spec.get(field), terms[field]), f"a row's {field} is not what was asked for")
        for field, otherwise in zip(("from", "until"), days):
            require(terms[field] == left_out(spec, field, otherwise), f"a row's {field} is not what was asked for")
        require(is_of_days(terms["term"], terms["from"], terms["until"]), "a row's term is not what its days mean")


def check_amended(ask, changes, mandate):
    """A new last day, rows with new bounds, rows that go, new rows: in this order, and nothing else."""
    adds, sets, removes = (listed(ask, field) for field in ("add", "set", "remove"))
    last_day, rest = mandate.until, list(changes)
    if ask.get("until") is not None:
        what, until = variant(rest.pop(0)) if rest else (None, None)
        require(what == "until" and same_json(ask["until"], until["until"]), "another last day than was asked for")
        last_day = until["until"]
        require(is_of_days(until["term"], mandate.signed, last_day), "its term is not what its days mean anywhere")
    require(len(rest) == len(sets) + len(removes) + len(adds), "another number of changes than was asked for")
    changed, added = rest[: len(sets) + len(removes)], rest[len(sets) + len(removes) :]
    for kind, asked, change in zip(["set"] * len(sets) + ["remove"] * len(removes), sets + removes, changed):
        what, fields = variant(change)
        require(what == kind, "a change of a row that was not asked for")
        name = asked if kind == "remove" else asked.get("system") if isinstance(asked, dict) else None
        row = mandate.live_row(fields["row"])
        require(row and isinstance(name, str) and same_name(row["system"], name), "another row than was asked for")
        if kind == "set":
            check_bounds(asked, fields["terms"], row["terms"], last_day)
    check_added(adds, added, (mandate.signed, last_day))


def check_bounds(spec, terms, old, last_day):
    """A row's new bounds are what was written down; what was left empty stays."""
    for field in ("data", "levels", "purposes"):
        said = old[field] if spec.get(field) == [] else spec.get(field)
        require(same_json(said, terms[field]), f"a row's {field} is not what was asked for")
    for field, otherwise in (("from", old["from"]), ("until", min(old["until"], last_day))):
        require(terms[field] == left_out(spec, field, otherwise), f"a row's {field} is not what was asked for")
    days = left_out(spec, "grant_days", old["grant_days"])
    require(same_json(days, terms["grant_days"]), "a row's grant_days is not what was asked for")
    require(is_of_days(terms["term"], terms["from"], terms["until"]), "a row's term is not what its days mean")


def left_out(spec, field, otherwise):
    return otherwise if spec.get(field) is None else spec[field]


def listed(ask, field):
    """A list of what was asked; of what is not there, none."""
    said = ask.get(field)
    require(said is None or isinstance(said, list), f"{field} is no list")
    return said or []


def is_of_days(term, first, last):
    """Whether a term can be what these days mean in some zone: no zone is further than a day from UTC."""
    start, end = midnight(first), midnight(last) + DAY
    return abs(term["from"] - start) <= DAY and abs(term["until"] - end) <= DAY


def midnight(date):
    """00:00 UTC of a date."""
    return (datetime.date.fromisoformat(date) - datetime.date(1970, 1, 1)).days * DAY


def check_follows(verb, by, ask, event, mandate, members):
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
    if name == "incident_closed":
        about = [i["facts"]["member"] for i in mandate.incidents if i["facts"]["id"] == fields["incident"]]
        apart = about != [by] or members[by]["was_owner"]
        require(apart, "an incident is closed by whom it is about, who never was an owner")
    if name == "activated":
        check_table(ask, fields)
    if name == "amended":
        check_amended(ask, fields["changes"], mandate)
    if name == "released":
        require(same_json(ask.get("items"), fields["items"]), "it releases what was not asked for")
    if name == "code_released":
        require(was_asked(ask, fields), "it releases what was not asked for")
        require(ask.get("onward") is None, "a code is read onward")


def was_asked(ask, code):
    items = ask.get("items")
    if not isinstance(items, list) or len(items) != 1 or not isinstance(items[0], dict):
        return False
    return items[0].get("credential") == code["credential"] and items[0].get("grant") == code["grant"]


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
        "answered", "activated", "amended", "credentials_added", "granted", "released", "code_released", "shared",
        "ended", "requested", "reviewed", "permitted",
    },
}  # fmt: skip
BY_LEADS = {"answered", "activated", "amended", "credentials_added", "rotated", "request_denied", "reviewed", "granted"}
BY_MEMBERS = {
    "settled", "requested", "rotation_asked", "evidenced", "incident_opened", "incident_noted", "incident_closed",
    "permitted",
}  # fmt: skip
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
            self.change_table(e["rows"], e["grants"], at)
        else:
            self.signed = self.until = e["on"]
            self.term, self.phase = {"from": at, "until": at}, {"draft": dict(e["draft"])}

    def digest(self):
        return hashlib.sha256(TYPES["mandate"].encode(self.__dict__)).hexdigest()

    def is_named(self, said):
        """Whether a request means this mandate: by the operator, or by operator@contract."""
        if not isinstance(said, str):
            return False
        whole = unicodedata.normalize("NFC", self.operator + "@" + self.contract)
        return same_name(said, self.operator) or len(whole) <= 500 and same_name(said, whole)

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
            require(e["answers"] is None or self.fits_wish(e["answers"], e["grant"]), "a grant beyond what was wished")
        if name == "released":
            require(all(self.holds(item["grant"], by) for item in e["items"]), "released to who holds no live grant")
        if name == "code_released":
            require(self.holds(e["grant"], by), "released to who holds no live grant")
        if name == "shared":
            require(by in self.leads or self.holds(e["grant"], by), "shared by who neither leads nor holds the grant")

    def holds(self, grant, member):
        return any(
            g["facts"]["id"] == grant and g["ended"] is None and g["facts"]["member"] == member for g in self.grants
        )

    def fits_wish(self, id, grant):
        """Whether a grant is to who made this request, which waits, and no more than it asks for."""
        request = next((r for r in self.requests if r["wish"]["id"] == id and r["answer"] is None), None)
        if request is None or request["by"] != grant["member"]:
            return False
        wish = request["wish"]
        row = self.row_named(wish["system"])
        return (
            row is not None
            and row["id"] == grant["row"]
            and is_within(grant["levels"], wish["levels"])
            and (not wish["purposes"] or all(any(same_name(p, w) for w in wish["purposes"]) for p in grant["purposes"]))
            and (wish["until"] is None or grant["term"]["until"] <= end_of_day(wish["until"], self.zone))
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
        self.change_table(e["rows"], e["grants"], at)

    def apply_permitted(self, e, by, at):
        for row in e["permission"]["rows"]:
            require(self.live_row(row), "a permission for a row that is not there")
        self.permissions.append(e["permission"])

    def apply_requested(self, e, by, at):
        require(e["wish"]["levels"], "a request for no level")
        require(len(e["wish"]["purposes"]) <= MOST_PURPOSES, "a request for too many purposes")
        require(all(r["wish"]["id"] != e["wish"]["id"] for r in self.requests), "a request is made twice")
        require(sum(r["answer"] is None for r in self.requests) < MOST_WAITING, "too many requests wait")
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
            grant["locked"] = grant["locked"] or facts["id"]
        self.incidents.append(
            {"facts": facts, "by": by, "opened": at, "locked": e["grants"], "course": [], "closed": None}
        )

    def apply_incident_noted(self, e, by, at):
        incident = self.incident(e["incident"])
        require(incident["closed"] is None, "an incident that is closed goes on")
        incident["course"].append({"step": e["step"], "text": e["text"], "by": by, "at": at})

    def apply_incident_closed(self, e, by, at):
        incident = self.incident(e["incident"])
        id, member = incident["facts"]["id"], incident["facts"]["member"]
        # A second time only to free what the first left locked.
        holds = any(g["ended"] is None and g["locked"] == id for g in self.grants)
        require(incident["closed"] is None or e["unlock"] and holds, "an incident is closed twice")
        if incident["closed"] is None:
            incident["closed"] = at
        # What an incident about one member left locked stays with it when one about everybody is closed.
        left = {
            i["facts"]["id"] for i in self.incidents if i["closed"] is not None and i["facts"]["member"] is not None
        }
        for grant in self.grants:
            if e["unlock"] and grant["locked"] == id:
                grant["locked"] = self.lock_for(grant["facts"]["member"])
            elif not e["unlock"] and grant["locked"] is not None and member in (None, grant["facts"]["member"]):
                if member is not None or grant["locked"] not in left:
                    grant["locked"] = id

    def apply_amended(self, e, by, at):
        self.change_table(e["changes"], e["grants"], at)
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
            dying = grant["ended"] is not None and grant["destroyed"] is None
            require(dying, "the key of a live grant is destroyed, or one twice")
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
        require(len(e["grants"]) == len(e["replaced"]), "not as many grants are made anew as are replaced")
        for facts, id in zip(e["grants"], e["replaced"]):
            require({**self.grant(id)["facts"], "id": facts["id"]} == facts, "a grant is not made anew as it was")
        self.end_grants(e["replaced"], "key_lost", at)
        for id in e["replaced"]:
            self.grant(id)["destroyed"] = at
        self.add_grants(e["grants"], at)

    def apply_shared(self, e, by, at):
        grant = self.grant(e["grant"])
        require(grant["ended"] is None and e["items"], "nothing is shared, or under a grant that has ended")
        for item in e["items"]:
            credential = self.credential(item["credential"])
            require(credential["row"] == grant["facts"]["row"], "a credential of another row is shared")
            current = credential["current"]
            require(current and current["number"] == item["version"], "another version than the current one is shared")

    def apply_nothing(self, e, by, at):
        pass

    apply_restarted = apply_released = apply_code_released = apply_extracted = apply_nothing

    # ---- what the events are made of ----

    def grant(self, id):
        return the(self.grants, lambda g: g["facts"]["id"] == id, "a grant")

    def credential(self, id):
        return the(self.credentials, lambda c: c["id"] == id, "a credential")

    def incident(self, id):
        return the(self.incidents, lambda i: i["facts"]["id"] == id, "an incident")

    def live_row(self, id):
        return next((row for row in self.rows if row["id"] == id and row["removed"] is None), None)

    def row_named(self, name):
        """The row whose system is named so, or the only one whose platform is."""
        live = [row for row in self.rows if row["removed"] is None]
        by_system = [row for row in live if same_name(row["system"], name)]
        by_platform = [row for row in live if same_name(row["platform"], name)]
        return by_system[0] if by_system else by_platform[0] if len(by_platform) == 1 else None

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

    def change_table(self, changes, grants, at):
        """Changes of the table, and its leads' standing grants: one for each lead under each new row, as wide as it."""
        self.change_rows(changes, at)
        places = [(c["row"], lead) for what, c in map(variant, changes) if what == "add" for lead in self.leads]
        require(len(grants) == len(places), "with a table come other grants than its leads'")
        for facts, (id, lead) in zip(grants, places):
            stands = (facts["row"], facts["member"], facts["origin"]) == (id, lead, "lead")
            row = self.live_row(id)
            require(stands and row, "with a table comes another grant than a lead's under a new row")
            wide = all(facts[field] == row["terms"][field] for field in ("levels", "purposes", "term"))
            require(wide, "a lead's standing grant is not as wide as its row")
        self.add_grants(grants, at)

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
            for field in ("levels", "purposes"):
                fits = facts[field] and is_within(facts[field], terms[field])
                require(fits, f"a grant has {field} that its row has not")
            require(lies_within(facts["term"], terms["term"]), "a grant reaches beyond its row")
            short = facts["origin"] == "lead" or facts["term"]["until"] <= grant_end(terms, at)
            require(short, "a grant lasts longer than its row allows")
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
    return inner["from"] < inner["until"] and outer["from"] <= inner["from"] and inner["until"] <= outer["until"]


def meet(a, b):
    start, end = max(a["from"], b["from"]), min(a["until"], b["until"])
    return {"from": start, "until": end} if start < end else None


def grant_end(terms, made):
    """When a grant made then ends at the latest, where the row counts days from the grant."""
    if terms["grant_days"] is None:
        return LAST_INSTANT
    return min(max(made, terms["term"]["from"]) + terms["grant_days"] * DAY, LAST_INSTANT)


def cut_to(facts, terms, since):
    """What is left of a grant under a row with these terms, or none."""
    if facts["origin"] == "lead":
        return {field: terms[field] for field in ("levels", "purposes", "term")}
    levels = [level for level in facts["levels"] if level in terms["levels"]]
    purposes = [purpose for purpose in facts["purposes"] if purpose in terms["purposes"]]
    term = meet(facts["term"], terms["term"])
    if not (levels and purposes and term):
        return None
    term["until"] = min(term["until"], grant_end(terms, since))
    return {"levels": levels, "purposes": purposes, "term": term}


NO_ZONES = {"localtime", "posixrules", "factory", "etc/unknown"}


@functools.lru_cache
def known_zones():
    """The zones of the database by their names in lower case, without what machines keep beside them."""
    names = {name.lower(): name for name in zoneinfo.available_timezones()}
    return {lower: name for lower, name in names.items() if lower not in NO_ZONES}


def end_of_day(date, zone):
    """The first instant after a date in a zone: 00:00 of the next day, or the end of the gap that swallows it."""
    name = known_zones().get(zone.lower()) if zone.isascii() else None
    require(name is not None, f"the time zone {zone!r} is not known here")
    place = zoneinfo.ZoneInfo(name)
    day = datetime.datetime.fromisoformat(date) + datetime.timedelta(days=1)
    return int(day.replace(tzinfo=place).timestamp()) * 1000


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


def open_checkpoint(note, charters, unit):
    """The number of records and the root of a note that one of these charters' checkpoint keys signed."""
    origin = f"mandatum/{charters[0]['vault']}/{unit}"
    form = f"({re.escape(origin)}\n(0|[1-9][0-9]*)\n([^ \n]+)\n)\n— {re.escape(origin)} ([^ \n]+)\n"
    found = re.fullmatch(form, note)
    require(found, "the checkpoint is not one, or of another ledger")
    text, size, root, signature = found.groups()
    signed = from_base64(signature)
    for key in (bytes.fromhex(charter["checkpoint_key"]) for charter in charters):
        key_id = hashlib.sha256(origin.encode() + b"\n\x01" + key).digest()[:4]
        if signed[:4] == key_id and is_signature(key, text.encode("utf-8"), signed[4:]):
            return int(size), from_base64(root)
    raise Refused("the checkpoint is not signed by the broker's checkpoint key")


def read_note(name):
    """The text in a note file. A mail program may have ended its lines with CR LF: what is signed has LF."""
    data = read_file(name, LONGEST_NOTE + 1)
    try:
        require(len(data) <= LONGEST_NOTE, "too long")
        return data.decode("utf-8").replace("\r\n", "\n")
    except (Refused, UnicodeDecodeError):
        raise Unreadable(f"{name}: is not a checkpoint, which is a text of six lines") from None


def read_file(name, most=-1):
    try:
        with open(name, "rb") as file:
            return file.read(most)
    except OSError as fault:
        raise Unreadable(f"{name}: cannot be read: {fault.strerror}") from None


def hold_against(note, charters, unit, leaves):
    """An earlier checkpoint: the first leaves must still be those it was signed over."""
    size, root = open_checkpoint(note, charters, unit)
    require(size <= len(leaves), f"{size} records were there before and {len(leaves)} are here: records are missing")
    same = tree_root(leaves[:size]) == root
    require(same, f"the first {size} records are not those of before: history was rewritten")
    return size, root


# ---------------------------------------------------------------------------------------------------------------------
# Section 2: the extract, from its first line to its last
# ---------------------------------------------------------------------------------------------------------------------


def read_lines(data):
    require(data.endswith(b"\n"), "the last line is cut off")
    lines = data[:-1].split(b"\n")
    require(len(lines) >= 2, "there are no lines")
    require(all(len(line) < LONGEST_LINE for line in lines), "a line is too long")
    head = parse(lines[0], "head_line", "line 1")
    require(head["mandatum_extract"] == 1, f"format {head['mandatum_extract']} is not known")
    records = [parse(line, "record_line", f"line {at}") for at, line in enumerate(lines[1:-1], start=2)]
    last = parse(lines[-1], "last_line", "the last line")
    return head, records, last["checkpoint"]


def open_record(line, at, charters, unit):
    what = f"record {at}"
    data = line["record"].encode("utf-8")
    require(line["key"] in [charter["record_key"] for charter in charters], f"{what} is not signed by the broker")
    message = pre_authentication("mandatum-record-v1", data)
    good = is_signature(bytes.fromhex(line["key"]), message, from_base64(line["sig"]))
    require(good, f"{what}: the signature is not good")
    record = parse(data, "record", what)
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
            check_first_follows(record["verb"], record["by"], ask_of(request), event, members)
        mandate = Mandate(record["unit"], event, record["by"], record["at"])
    elif outcome == "mandate":
        if request is not None:
            check_follows(record["verb"], record["by"], ask_of(request), event, mandate, members)
        mandate.apply(event, record["by"], record["at"])
        if request is not None and variant(event)[0] in ("released", "code_released"):
            signature = record["request"]["sig"]
            require(signature not in released, "a request is used for a second release")
            released.add(signature)
    if record["state"] is not None:
        require(record["state"] == mandate.digest(), "the state after it is not as it says")
    return mandate


def ask_of(request):
    return request["ask"] if isinstance(request.get("ask"), dict) else {}


def verify(data, root=None, notes=()):
    """The report on an extract. Raises Refused where anything does not hold.

    `notes` are files with earlier checkpoints. They are read when the extract itself holds: raises Unreadable.
    """
    head, lines, note = read_lines(data)
    print_of_root = fingerprint(head["root"])
    require(root in (None, print_of_root), f"it is signed by root {print_of_root}, not by {root}")
    charters = open_charters(head["root"], head["charters"])
    members = open_admissions(head["root"], charters[0]["vault"], head["admissions"])
    records = [open_record(line, at, charters, head["unit"]) for at, line in enumerate(lines)]
    leaves = [leaf(line["salt"], line["record"].encode("utf-8")) for line in lines]
    size, tree = open_checkpoint(note, charters[-1:], head["unit"])
    require((size, tree) == (len(leaves), tree_root(leaves)), "the checkpoint is not of these records")
    mandate, released = None, set()
    for at, record in enumerate(records):
        try:
            mandate = take_record(record, mandate, members, released)
        except Refused as fault:
            raise Refused(f"record {at}: {fault}") from None
    require(mandate is not None, "there are no records")
    kept = [(name, read_note(name)) for name in notes]
    held = [(name, *hold_against(text, charters, head["unit"], leaves)) for name, text in kept]
    covered = max((size for _, size, _ in held), default=None)
    return {
        "operator": mandate.operator,
        "contract": mandate.contract,
        "records": len(records),
        "root_hash": tree.hex(),
        "root_fingerprint": print_of_root,
        "root_checked": root is not None,
        "denials": sum(variant(record["outcome"])[0] == "denied" for record in records),
        "assurance": min((record["assurance"] for record in records), key=TYPES["assurance"].places.index),
        "checkpoints": [{"file": name, "records": size, "root_hash": root.hex()} for name, size, root in held],
        "covered": covered,
        "covered_at": records[covered - 1]["at"] if covered else None,
    }


# ---------------------------------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------------------------------


def verdict(data, root=None, notes=()):
    """Exit code and report."""
    try:
        return 0, verify(data, root, notes)
    except Refused as fault:
        return 6, {"error": {"exit": 6, "message": str(fault)}}


def sentence(code, report):
    if code:
        return f"The extract does not hold: {report['error']['message']}"
    held = "" if report["covered"] is None else f" Records before {report['covered']} are those of your checkpoint."
    checked = "as given" if report["root_checked"] else "not compared with anything: give --root"
    return (
        f"The extract holds: {report['records']} records of the mandate of {report['operator']} (contract "
        f"{report['contract']}), {report['denials']} denials, head {report['root_hash']}, assurance "
        f"'{report['assurance']}', root {report['root_fingerprint']} ({checked}).{held}"
    )


def answer_stream():
    """Many extracts in one process: each as eight bytes of length, big-endian, and its bytes; a JSON line for each."""
    while prefix := sys.stdin.buffer.read(8):
        code, report = verdict(sys.stdin.buffer.read(int.from_bytes(prefix, "big")))
        print(json.dumps({"exit": code, **report}), flush=True)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("extract", metavar="EXTRACT", nargs="?", help="the file the agency handed out")
    arguments.add_argument("--root", metavar="FINGERPRINT", help="the root fingerprint, as the agency gave it to you")
    arguments.add_argument(
        "--checkpoint", metavar="FILE", action="append", default=[], help="a checkpoint that was received earlier"
    )
    arguments.add_argument("--json", action="store_true", help="print the report as JSON")
    arguments.add_argument("--stream", action="store_true", help="answer many extracts on standard input")
    asked = arguments.parse_args()
    if asked.stream:
        answer_stream()
        return 0
    if asked.extract is None:
        arguments.error("name the extract")
    try:
        code, report = verdict(read_file(asked.extract), asked.root, asked.checkpoint)
    except Unreadable as fault:
        print(fault, file=sys.stderr)
        return 7
    print(json.dumps(report, ensure_ascii=False, indent=2) if asked.json else sentence(code, report))
    return code


if __name__ == "__main__":
    sys.exit(main())
