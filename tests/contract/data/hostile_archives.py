"""Writes archives into a directory, each "ok-<what>.tar" or "bad-<what>.tar" (research rows T01 to T19)."""
import os
import sys

out = sys.argv[1]
ZERO = b"\0" * 512


def header(name=b"./a", size=0, kind=b"0", link=b"", mode=b"0000644\0", uid=b"0000000\0", gid=b"0000000\0",
           mtime=b"00000000000\0", magic=b"ustar\x0000", prefix=b"", size_text=None, checksum=None):
    h = bytearray(512)
    h[0:len(name)] = name[:100]
    h[100:108] = mode
    h[108:116] = uid
    h[116:124] = gid
    h[124:136] = size_text if size_text is not None else b"%011o\0" % size
    h[136:148] = mtime
    h[148:156] = b" " * 8
    h[156:157] = kind
    h[157:157 + len(link)] = link[:100]
    h[257:265] = magic
    h[345:345 + len(prefix)] = prefix
    total = sum(h) if checksum is None else checksum
    h[148:156] = b"%06o\0 " % total
    return bytes(h)


def padded(data):
    return data + b"\0" * (-len(data) % 512)


def record(key, value):
    body = b" " + key + b"=" + value + b"\n"
    n = len(body)
    while len(str(n)) + len(body) != n:
        n = len(str(n)) + len(body)
    return str(n).encode() + body


def pax(*pairs, raw=b""):
    data = b"".join(record(k, v) for k, v in pairs) + raw
    return header(b"./PaxHeaders/x", len(data), b"x") + padded(data)


def sparse(real, body, stored=None, name=b"./a"):
    return pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name),
               (b"GNU.sparse.realsize", str(real).encode())) + header(name, len(body) if stored is None else stored) + padded(body)


def put(what, data, end=ZERO * 2):
    with open(os.path.join(out, what + ".tar"), "wb") as f:
        f.write(data + end)


one = header(b"./a", 3) + padded(b"one")
put("ok-one", one)
put("ok-empty", b"")
put("ok-directory", header(b"./", 0, b"5") + header(b"./d/", 0, b"5") + header(b"./d/a", 3) + padded(b"one"))
put("ok-absolute-symlink", header(b"./l", 0, b"2", b"/etc/passwd"))            # T03: restored as a link
put("ok-symlink-up", header(b"./l", 0, b"2", b"../../x"))
put("ok-hardlink", one + header(b"./b", 0, b"1", b"./a"))
put("ok-newline", header(b"./a\nb"))                                           # T17
put("ok-not-utf8", pax((b"path", b"./\xff\xfe")) + header(b"./x"))
put("ok-xattr", pax((b"SCHILY.xattr.user.x", b"a\0b\nc")) + one)
put("ok-sparse", sparse(1 << 40, padded(b"1\n0\n3\n") + b"abc"))                # T19: holes cost nothing
put("ok-255", pax((b"path", b"./" + b"n" * 255)) + header(b"./n"))

# T01 names that lead out
for i, name in enumerate([b"/etc/passwd", b"../x", b"./../x", b"./a/../../x", b"./a/..", b"", b".", b"//x", b"./a//b",
                          b".//a", b"a", b"./.", b"./a/./b", b"./..", b"/./a"]):
    put("bad-name-%d" % i, header(name))
    put("bad-pax-name-%d" % i, pax((b"path", name)) + header(b"./a"))
put("bad-pax-name-nul", pax((b"path", b"./a\0b")) + header(b"./a"))
put("bad-prefix", header(b"x", prefix=b"/etc"))
# T04 hard links that lead out
for i, link in enumerate([b"/etc/passwd", b"../x", b"./../x", b"", b"a"]):
    put("bad-hardlink-%d" % i, header(b"./h", 0, b"1", link))
put("bad-symlink-empty", header(b"./l", 0, b"2", b""))
# T08 devices and what is no kind of ours
for kind in b"34789ABDKLMNSVXg\0":
    put("bad-kind-%d" % kind, header(b"./a", 0, bytes([kind])))
# T09, T10 numbers
put("bad-acl", pax((b"SCHILY.acl.access", b"user::rwz")) + one)
put("bad-acl-empty", pax((b"SCHILY.acl.access", b"")) + one)
put("bad-xattr-twice", pax((b"SCHILY.xattr.user.x", b"1"), (b"SCHILY.xattr.user.x", b"2")) + one)
put("bad-uid-minus-one", pax((b"uid", b"4294967295")) + one)
put("bad-uid-large", pax((b"uid", b"4294967296")) + one)
put("bad-uid-negative", pax((b"uid", b"-1")) + one)
put("bad-uid-words", pax((b"uid", b"root")) + one)
put("bad-mode", header(b"./a", mode=b"0177777\0"))
# T11 times
for i, value in enumerate([b"-1", b"1", b"NaN", b"1.5", b"99999999999999999999.000000000", b"1.00000000x", b"", b"."]):
    put("bad-mtime-%d" % i, pax((b"mtime", value)) + one)
# T12 extended headers
put("bad-pax-twice", pax((b"path", b"./a"), (b"path", b"./b")) + one)
put("bad-pax-unknown", pax((b"comment", b"x")) + one)
put("bad-pax-charset", pax((b"hdrcharset", b"BINARY")) + one)
put("bad-pax-size-huge", header(b"./PaxHeaders/x", 1 << 30, b"x"))
put("bad-pax-empty", header(b"./PaxHeaders/x", 0, b"x") + one)
put("bad-pax-length", pax(raw=b"99 path=./a\n") + one)
put("bad-pax-length-zero", pax(raw=b"0 path=./a\n") + one)
put("bad-pax-no-equals", pax(raw=b"7 path\n") + one)
put("bad-pax-no-newline", pax(raw=b"11 path=./ax") + one)
put("bad-pax-at-end", pax((b"path", b"./a")))
put("bad-pax-pax", pax((b"path", b"./a")) + pax((b"path", b"./b")) + one)
put("bad-pax-size", pax((b"size", b"99999")) + one)
# T13 other dialects and broken headers
put("bad-gnu-long-name", header(b"././@LongLink", 5, b"L") + padded(b"./aaa") + one)
put("bad-base-256", header(b"./a", size_text=b"\x80" + b"\0" * 10 + b"\x03") + padded(b"one"))
put("bad-size-minus", header(b"./a", size_text=b"-0000000001\0"))
put("bad-size-words", header(b"./a", size_text=b"hello world\0"))
put("bad-size-empty", header(b"./a", size_text=b"\0" * 12))
put("bad-checksum", header(b"./a", checksum=1))
put("bad-magic-gnu", header(b"./a", magic=b"ustar  \0"))
put("bad-magic-v7", header(b"./a", magic=b"\0" * 8))
# T14 ends
for i in range(0, len(one), 512):
    put("bad-cut-%d" % i, one[:i + 100], b"")
put("bad-no-end", one, b"")
put("bad-half-end", one, ZERO)
put("bad-garbage-after", one, ZERO * 2 + b"x")
put("bad-two-archives", one, ZERO * 2 + one + ZERO * 2)
# T15 sizes and depths
put("bad-8-eib", pax((b"size", b"9223372036854775807")) + header(b"./a"))
put("bad-deep", pax((b"path", b"./" + b"d/" * 300 + b"a")) + one)
put("bad-256", pax((b"path", b"./" + b"n" * 256)) + one)
put("bad-4096", pax((b"path", b"./" + b"/".join([b"n" * 200] * 21))) + one)
put("bad-directory-with-data", header(b"./d", 3, b"5") + padded(b"one"))
# T19 holes
put("bad-sparse-overlap", sparse(100, padded(b"2\n0\n10\n5\n10\n") + b"x" * 20))
put("bad-sparse-beyond", sparse(10, padded(b"1\n5\n10\n") + b"x" * 10))
put("bad-sparse-overflow", sparse(10, padded(b"1\n9223372036854775807\n9223372036854775807\n")))
put("bad-sparse-count", sparse(10, padded(b"99999999999\n")))
put("bad-sparse-words", sparse(10, padded(b"x\n")))
put("bad-sparse-short", sparse(10, padded(b"1\n0\n10\n") + b"xx"))
put("bad-sparse-cut", sparse(10, b"5\n0\n"))
put("bad-sparse-name", sparse(3, padded(b"1\n0\n3\n") + b"abc", name=b"./../x"))
put("bad-sparse-half", pax((b"GNU.sparse.major", b"1")) + one)
