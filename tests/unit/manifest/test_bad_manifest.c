/* Manifests that are refused: each with its place and what it says. Rows: catalogue 7.2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/own.h"
#include "base/str.h"
#include "manifest/manifest.h"

/* Four lines: what a case adds begins in line 5. */
#define BASE                                                                                       \
        "version: 1\nservice: notes\n"                                                             \
        "runtime: { process: { command: [./server] } }\nsource: { git: {} }\n"
/* Two lines, for what replaces runtime or source. */
#define HEAD "version: 1\nservice: notes\n"
#define RUN  "runtime: { process: { command: [./server] } }\n"
#define GIT  "source: { git: {} }\n"

typedef struct Case {
        const char *row;
        const char *text;
        const char *message; /* how the first finding begins, after the file's name */
} Case;

static const Case structure[] = {
        {"Y13 version", "version: 2\nservcie: x\n",
                ":1:10: version 2: this manifest is written for a newer Belay"},
        {"Y13 version 0", "version: 0\n", ":1:10: \"version\" is no number that this Belay knows"},
        {"Y12 version", "version: \"1\"\n",
                ":1:10: \"version\" is no number that this Belay knows"},
        {"Y12 version 01", "version: 01\n", ":1:10: \"version\" is no number"},
        {"version a list", "version: [1]\n", ":1:10: \"version\" is no number"},
        {"version null", "version:\nservice: notes\n" RUN GIT, ":1:9: \"version\" is no number"},
        {"Y15 no version", "service: notes\n" RUN GIT, ":1:1: \"version\" is missing"},
        {"Y15 no service", "version: 1\n" RUN GIT, ":1:1: \"service\" is missing"},
        {"Y15 no runtime", HEAD GIT, ":1:1: \"runtime\" is missing"},
        {"Y15 no source", HEAD RUN, ":1:1: \"source\" is missing"},
        {"Y24 empty", "", ": the manifest is empty"},
        {"Y24 only comments", "# a\n# b\n", ": the manifest is empty"},
        {"Y24 null", "~\n", ": the manifest is empty"},
        {"Y15 a list", "- version: 1\n", ":1:1: a list where a manifest is expected"},
        {"Y15 text", "hello\n", ":1:1: text where a manifest is expected"},
        {"Y14", BASE "retenion: 5\n", ":5:1: unknown key \"retenion\" in a manifest"},
        {"Y14 nearest", BASE "chanel: exact\n", ":5:1: unknown key \"chanel\" in a manifest"},
        {"Y06 case", BASE "Channel: exact\n", ":5:1: unknown key \"Channel\" in a manifest"},
        {"Y06 look-alike", BASE "ch\xC3\xA1nnel: exact\n", ":5:1: unknown key \"ch\xC3\xA1nnel\""},
        {"Y14 nested", BASE "start: { timeot: 5s }\n", ":5:10: unknown key \"timeot\" under start"},
        {"fleet", BASE "fleet: x\n", ":5:1: this build has no fleets"},
        {"Y09", BASE "---\nversion: 1\n", ":5:1: a second document"},
        {"Y05", BASE "channel: exact\nchannel: patch\n", ":6:1: duplicate key \"channel\""},
};

static const Case names[] = {
        {"Y20 upper case", "version: 1\nservice: Notes\n" RUN GIT,
                ":2:10: \"service\" is no name of a service"},
        {"Y20 space", "version: 1\nservice: 'a b'\n" RUN GIT, ":2:10: \"service\" is no name"},
        {"Y20 hyphen", "version: 1\nservice: -a\n" RUN GIT, ":2:10: \"service\" is no name"},
        {"Y20 slash", "version: 1\nservice: ../a\n" RUN GIT, ":2:10: \"service\" is no name"},
        {"Y12 null name", "version: 1\nservice: ~\n" RUN GIT, ":2:10: \"service\" has no value"},
        {"Y12 empty name", "version: 1\nservice:\n" RUN GIT, ":2:9: \"service\" has no value"},
        {"Y15 name list", "version: 1\nservice: [a]\n" RUN GIT, ":2:10: \"service\" is a list"},
        {"lines", "version: 1\nservice: |\n  a\n  b\n" RUN GIT,
                ":2:10: \"service\" has several lines"},
        {"remote option", HEAD RUN "source: { git: { remote: --upload-pack=x } }\n",
                ":4:26: \"source.git.remote\" begins with '-'"},
        {"remote URL", HEAD RUN "source: { git: { remote: 'ext::sh -c x' } }\n",
                ":4:26: \"source.git.remote\" is no name that git allows"},
        {"branch option", HEAD RUN "source: { git: { branch: -x } }\n",
                ":4:26: \"source.git.branch\" begins with '-'"},
        {"branch dots", HEAD RUN "source: { git: { branch: a..b } }\n",
                ":4:26: \"source.git.branch\" is no name"},
        {"tags option", HEAD RUN "source: { git: { tags: -l } }\n",
                ":4:24: \"source.git.tags\" begins with '-'"},
        {"tags shell", HEAD RUN "source: { git: { tags: 'v*;x' } }\n",
                ":4:24: \"source.git.tags\" is no glob"},
        {"tags bracket", HEAD RUN "source: { git: { tags: 'v[0-9' } }\n",
                ":4:24: \"source.git.tags\" has a '['"},
        {"user number", HEAD "runtime: { process: { command: [./s], user: 0 } }\n" GIT,
                ":3:45: \"runtime.process.user\" is no name of a user"},
        {"user option", HEAD "runtime: { process: { command: [./s], user: -x } }\n" GIT,
                ":3:45: \"runtime.process.user\""},
        {"Y21 variable",
                HEAD "runtime: { process: { command: [./s], environment: { 1A: b } } }\n" GIT,
                ":3:54: \"1A\" is no name of a variable"},
        {"Y21 no '='", BASE "configuration: { env_file: .env, set: { 'A=B': c } }\n",
                ":5:41: \"A=B\" is no name of a variable"},
        {"Y21 newline", BASE "configuration: { env_file: .env, set: { A: \"b\\nC=d\" } }\n",
                ":5:44: \"configuration.set.A\" has several lines"},
        {"Y21 list", BASE "configuration: { env_file: .env, set: [A=b] }\n",
                ":5:39: \"configuration.set\" is a list"},
        {"Y21 null", BASE "configuration: { env_file: .env, set: { A: } }\n",
                ":5:44: \"configuration.set.A\" has no value"},
        {"Y21 env:", BASE "configuration: { env_file: .env, set: { A: env:B } }\n",
                ":5:44: this build has no 'env:' in here"},
        {"secret name", BASE "configuration: { env_file: .env, secrets: { a-b: {} } }\n",
                ":5:45: \"a-b\" is no name"},
        {"secret bytes", BASE "configuration: { env_file: .env, secrets: { A: { bytes: 15 } } }\n",
                ":5:57: \"configuration.secrets.A.bytes\" is no whole number from 16 to 1024"},
        {"secret bytes 1025",
                BASE "configuration: { env_file: .env, secrets: { A: { bytes: 1025 } } }\n",
                ":5:57: "},
        {"secret form", BASE "configuration: { env_file: .env, secrets: { A: { as: rot13 } } }\n",
                ":5:54: \"configuration.secrets.A.as\" cannot be \"rot13\""},
        {"secret twice",
                BASE "configuration: { env_file: .env, set: { A: b }, secrets: { A: {} } }\n",
                ":5:60: \"A\" is under configuration.set already"},
        {"no env_file", BASE "configuration: { set: { A: b } }\n",
                ":5:16: \"env_file\" is missing under configuration"},
};

static const Case numbers[] = {
#define PORT(value) HEAD "runtime: { process: { command: [./s], port: " value " } }\n" GIT
        {"Y22 port 0", PORT("0"),
                ":3:45: \"runtime.process.port\" is no whole number from 1 to 65535"},
        {"Y22 port 65536", PORT("65536"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 octal", PORT("012"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 0o7", PORT("0o7"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 0x1F", PORT("0x1F"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 1_000", PORT("1_000"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 sexagesimal", PORT("1:30"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 .inf", PORT(".inf"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 yes", PORT("yes"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 float", PORT("8000.0"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 sign", PORT("+1"), ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y12 null", PORT("~"), ":3:45: \"runtime.process.port\" has no value"},
        {"Y12 quoted", PORT("\"8000\""), ":3:45: \"runtime.process.port\" is text"},
        {"Y13 overflow", PORT("18446744073709551617"),
                ":3:45: \"runtime.process.port\" is no whole number"},
        {"Y13 negative", BASE "backup: { keep: { last: -1 } }\n",
                ":5:25: \"backup.keep.last\" is no whole number"},
        {"Y13 keep nothing", BASE "backup: { keep: { last: 0 } }\n",
                ":5:25: \"backup.keep.last\" is no whole number from 1"},
        {"Y13 empty policy", BASE "backup: { keep: {} }\n",
                ":5:17: \"backup.keep\" is empty: nothing would be kept"},
        {"Y13 empty stores", BASE "backup: { stores: [] }\n",
                ":5:19: \"backup.stores\" is an empty list"},
        {"Y12 Norway", BASE "rollback: { automatic: no }\n",
                ":5:24: \"rollback.automatic\" is text"},
        {"Y12 on", BASE "rollback: { automatic: on }\n", ":5:24: \"rollback.automatic\" is text"},
        {"Y12 True", BASE "rollback: { automatic: True }\n",
                ":5:24: \"rollback.automatic\" is text"},
        {"Y12 quoted true", BASE "rollback: { automatic: 'true' }\n",
                ":5:24: \"rollback.automatic\" is text"},
        {"Y12 1", BASE "rollback: { automatic: 1 }\n", ":5:24: \"rollback.automatic\" is a number"},
        {"duration bare", BASE "start: { timeout: 60 }\n", ":5:19: \"start.timeout\" has no unit"},
        {"duration sexagesimal", BASE "start: { timeout: 1:30 }\n",
                ":5:19: \"start.timeout\" is no duration"},
        {"duration sign", BASE "start: { timeout: -5s }\n",
                ":5:19: \"start.timeout\" is no duration"},
        {"duration float", BASE "start: { timeout: 1.5s }\n",
                ":5:19: \"start.timeout\" is no duration"},
        {"duration huge", BASE "start: { timeout: 99999999999999999999d }\n",
                ":5:19: \"start.timeout\" is no duration"},
        {"duration 0", BASE "start: { timeout: 0s }\n", ":5:19: \"start.timeout\" is out of range"},
        {"duration long", BASE "stop: { timeout: 25h }\n",
                ":5:18: \"stop.timeout\" is out of range"},
        {"percent bare", BASE "monitor: { memory: { warn: 80 } }\n",
                ":5:28: \"monitor.memory.warn\" is no share"},
        {"percent 101", BASE "monitor: { memory: { warn: 101% } }\n",
                ":5:28: \"monitor.memory.warn\" is no share"},
        {"percent order", BASE "monitor: { memory: { warn: 96% } }\n",
                ":5:20: \"monitor.memory.warn\" is above \"fail\""},
        {"growth", BASE "monitor: { memory: { growth: 10% } }\n",
                ":5:30: \"monitor.memory.growth\" is no growth"},
        {"growth 0", BASE "monitor: { memory: { growth: 10%/0s } }\n",
                ":5:30: \"monitor.memory.growth\" is no growth"},
        {"logs word", BASE "monitor: { logs: off }\n",
                ":5:18: text where what is looked for in logs is expected"},
        {"threshold", BASE "checks: [ { tcp: 'a:1', threshold: 3 of 2 } ]\n",
                ":5:36: \"checks[0].threshold\" is no threshold"},
        {"threshold 0", BASE "checks: [ { tcp: 'a:1', threshold: 0 of 2 } ]\n",
                ":5:36: \"checks[0].threshold\""},
        {"threshold 101", BASE "checks: [ { tcp: 'a:1', threshold: 2 of 101 } ]\n",
                ":5:36: \"checks[0].threshold\""},
        {"threshold 03", BASE "checks: [ { tcp: 'a:1', threshold: 2 of 03 } ]\n",
                ":5:36: \"checks[0].threshold\""},
        {"threshold words", BASE "checks: [ { tcp: 'a:1', threshold: two } ]\n",
                ":5:36: \"checks[0].threshold\""},
        {"status", BASE "checks: [ { http: { url: 'http://a', status: 99 } } ]\n",
                ":5:46: \"checks[0].http.status\""},
};

static const Case lists[] = {
        {"Y15 command", HEAD "runtime: { process: { command: ./s --port 1 } }\n" GIT,
                ":3:32: \"runtime.process.command\" is text"},
        {"Y15 empty command", HEAD "runtime: { process: { command: [] } }\n" GIT,
                ":3:32: \"runtime.process.command\" is an empty list"},
        {"Y12 null word", HEAD "runtime: { process: { command: [./s, ~] } }\n" GIT,
                ":3:38: \"runtime.process.command[1]\" has no value"},
        {"Y15 list in list", HEAD "runtime: { process: { command: [./s, [a]] } }\n" GIT,
                ":3:38: \"runtime.process.command[1]\" is a list"},
        {"option first", HEAD "runtime: { process: { command: [-s] } }\n" GIT,
                ":3:33: \"runtime.process.command[0]\" begins with '-'"},
        {"no command", HEAD "runtime: { process: { port: 1 } }\n" GIT,
                ":3:21: \"command\" is missing under runtime.process"},
        {"two runtimes",
                HEAD "runtime: { process: { command: [./s] }, systemd: { units: [a] } }\n" GIT,
                ":3:41: this build has no runtime 'systemd'"},
        {"empty runtime", HEAD "runtime: {}\n" GIT, ":3:10: a runtime is missing"},
        {"null runtime", HEAD "runtime:\n" GIT, ":3:9: \"runtime\" has no value"},
        {"list of sources", HEAD RUN "source: [ git: {} ]\n",
                ":4:9: this build has no list of sources"},
        {"Y15 checks", BASE "checks: { http: {} }\n", ":5:9: \"checks\" is a mapping"},
        {"Y15 check", BASE "checks: [ http ]\n", ":5:11: text where a check is expected"},
        {"Y12 null check", BASE "checks: [ ~ ]\n", ":5:11: \"checks[0]\" has no value"},
        {"empty check", BASE "checks: [ {} ]\n", ":5:11: a check is missing"},
        {"only an extension", BASE "backup: { contents: [ { x-a: b } ] }\n",
                ":5:23: a content is missing"},
        {"only within", BASE "checks: [ { within: 5s } ]\n", ":5:11: a check is missing"},
        {"two checks in one", BASE "checks: [ { tcp: 'a:1', log: { expect: b } } ]\n",
                ":5:25: a check is one thing: there is \"tcp\" already"},
        {"within twice", BASE "checks: [ { http: { url: 'http://a', within: 1s }, within: 2s } ]\n",
                ":5:60: \"within\" of checks[0] is given twice"},
        {"Y14 within", BASE "checks:\n  - http:\n      url: http://a\n      withn: 60s\n",
                ":8:7: unknown key \"withn\" under checks[0].http"},
        {"installed both", BASE "installed: { http: 'http://a', file: b }\n",
                ":5:32: the way to ask for the installed version is one thing"},
        {"installed json alone", BASE "installed: { file: b, json: .v }\n",
                ":5:29: \"installed.json\" goes with \"http\" alone"},
        {"json path", BASE "installed: { http: 'http://a', json: version }\n",
                ":5:38: \"installed.json\" is no dotted path"},
        {"headers twice",
                BASE "checks: [ { http: { url: 'http://a', headers: { A: b, a: c } } } ]\n",
                ":5:55: the header \"a\" is there already"},
        {"header name", BASE "checks: [ { http: { url: 'http://a', headers: { 'A b': c } } } ]\n",
                ":5:49: \"A b\" is no name of an HTTP header"},
        {"Y22 header CRLF",
                BASE "checks: [ { http: { url: 'http://a', headers: { A: \"b\\r\\nC: d\" } } } ]\n",
                ":5:52: the text holds the control character \\x0D"},
        {"header LF",
                BASE "checks: [ { http: { url: 'http://a', headers: { A: \"b\\nC: d\" } } } ]\n",
                ":5:52: \"checks[0].http.headers.A\" has several lines"},
        {"secret variable",
                BASE "checks: [ { http: { url: 'http://a', headers: { A: 'env:1' } } } ]\n",
                ":5:52: \"checks[0].http.headers.A\" is no name of a variable"},
        {"secret file",
                BASE "checks: [ { http: { url: 'http://a', headers: { A: 'file:/proc/1/environ' } "
                     "} } ]\n",
                ":5:52: \"checks[0].http.headers.A\" lies in /proc, /sys or /dev"},
        {"method", BASE "checks: [ { http: { url: 'http://a', method: get } } ]\n",
                ":5:46: \"checks[0].http.method\" is none of GET"},
        {"protocol", BASE "checks: [ { http: { url: 'http://a', protocol: h9 } } ]\n",
                ":5:48: \"checks[0].http.protocol\" is none of HTTP/1.0"},
        {"no files", BASE "migrations: [ sql: { database: a.db } ]\n",
                ":5:20: \"files\" is missing under migrations[0].sql"},
        {"no database", BASE "migrations: [ sql: { files: a } ]\n",
                ":5:20: \"database\" is missing under migrations[0].sql"},
        {"database URL", BASE "migrations: [ sql: { files: a, database: 'postgres://u:p@h/d' } ]\n",
                ":5:42: \"migrations[0].sql.database\" is no plain path"},
        {"files up", BASE "migrations: [ scripts: { files: ../x/*.py } ]\n",
                ":5:33: \"migrations[0].scripts.files\" leads out"},
        {"files absolute", BASE "migrations: [ scripts: { files: /x/*.py } ]\n",
                ":5:33: \"migrations[0].scripts.files\" is absolute"},
        {"run", BASE "migrations: [ scripts: { files: x, run: twice } ]\n",
                ":5:41: \"migrations[0].scripts.run\" cannot be \"twice\""},
        {"empty log", BASE "checks: [ log: { expect: '' } ]\n",
                ":5:26: \"checks[0].log.expect\" is empty"},
};

static const Case made[] = {
#define MADE(keys)     HEAD RUN "source: { git: { install: [a], " keys " } }\n"
#define RELEASES(keys) HEAD RUN "source: { git: { layout: releases, " keys " } }\n"
        {"no such layout", HEAD RUN "source: { git: { layout: copies } }\n", ":4:26:"},
        {"empty install", HEAD RUN "source: { git: { install: [] } }\n",
                ":4:27: \"source.git.install\" is an empty list"},
        {"install as text", HEAD RUN "source: { git: { install: npm ci } }\n", ":4:27:"},
        {"unknown value", HEAD RUN "source: { git: { install: [a, '${colour}'] } }\n", ":4:31:"},
        {"image is not known", HEAD RUN "source: { git: { build: [a, '${image}'] } }\n", ":4:29:"},
        {"timeout", MADE("timeout: 0s"), ":4:41:"},
        {"absolute artifact", MADE("artifacts: [/opt/venv]"),
                ":4:44: \"source.git.artifacts[0]\" is absolute"},
        {"artifact outside", MADE("artifacts: [dist, ../dist]"),
                ":4:50: \"source.git.artifacts[1]\" leads out"},
        {"artifact outside later", MADE("artifacts: [a/../../b]"), ":4:44:"},
        {"artifact is all", MADE("artifacts: [./]"), ":4:44: \"source.git.artifacts[0]\" is all"},
        {"artifact of git", MADE("artifacts: [.git/hooks]"),
                ":4:44: \"source.git.artifacts[0]\" belongs to git"},
        {"artifact of Belay", MADE("artifacts: [.belay]"), ":4:44:"},
        {"empty artifact", MADE("artifacts: ['']"), ":4:44:"},
        {"no artifacts", MADE("artifacts: []"), ":4:43:"},
        {"artifact twice", MADE("artifacts: [dist, dist/]"),
                ":4:50: 'dist' and 'dist', which is an artifact, too, are one in the other"},
        {"artifact in artifact", MADE("artifacts: [dist/js, dist]"), ":4:53:"},
        {"nothing makes it", HEAD RUN "source: { git: { artifacts: [dist] } }\n",
                ":4:29: nothing makes the artifacts"},
        {"shared in place", HEAD RUN "source: { git: { shared: [data] } }\n",
                ":4:26: \"source.git.shared\" goes with layout 'releases' alone"},
        {"absolute shared", RELEASES("shared: [/srv/data]"), ":4:45:"},
        {"shared outside", RELEASES("shared: [../data]"), ":4:45:"},
        {"shared twice", RELEASES("shared: [data, data]"), ":4:51:"},
        {"shared in shared", RELEASES("shared: [data/db, data]"), ":4:54:"},
        {"shared and made", RELEASES("install: [a], artifacts: [dist], shared: [dist/x]"),
                ":4:78:"},
        {"somewhere else",
                HEAD "runtime: { process: { command: [./server], directory: /srv/a/web } }\n"
                     "source: { git: { directory: /srv/a, layout: releases } }\n",
                ":4:16: with layout 'releases' the process runs in '/srv/a/current'"},
};

static const Case paths[] = {
#define CONTENT(value) BASE "backup: { contents: [ path: " value " ] }\n"
        {"Y16 root", CONTENT("/"), ":5:29: \"backup.contents[0].path\" is the root"},
        {"Y16 slashes", CONTENT("//"), ":5:29: \"backup.contents[0].path\" is the root"},
        {"Y16 dots", CONTENT("/./"), ":5:29: \"backup.contents[0].path\" is the root"},
        {"Y16 trailing", CONTENT("a/.."),
                ":5:29: \"backup.contents[0].path\" has '..' after a name"},
        {"Y16 inside", CONTENT("/srv/../etc"),
                ":5:29: \"backup.contents[0].path\" has '..' after a name"},
        {"Y16 up to the root", CONTENT("../../.."), ":5:29: '/' is a directory of the system"},
        {"Y16 above the root", CONTENT("/../srv/notes/data"),
                ":5:29: \"backup.contents[0].path\" has '..' after"},
        {"Y16 proc", CONTENT("/proc"), ":5:29: \"backup.contents[0].path\" lies in /proc"},
        {"Y16 sys", CONTENT("/sys/kernel"),
                ":5:29: \"backup.contents[0].path\" lies in /proc, /sys"},
        {"Y16 dev", CONTENT("//dev//shm"), ":5:29: \"backup.contents[0].path\" lies in /proc"},
        {"Y16 relative proc", CONTENT("../../proc/1"), ":5:29: '/proc/1' lies in /proc"},
        {"Y16 docker", CONTENT("/var/lib/docker/volumes/a"),
                ":5:29: '/var/lib/docker/volumes/a' belongs to Docker"},
        {"Y16 Belay", CONTENT("/var/lib/belay"), ":5:29: '/var/lib/belay' belongs to Belay"},
        {"Y16 etc", CONTENT("/etc/"), ":5:29: '/etc' is a directory of the system"},
        {"Y16 empty", CONTENT("''"), ":5:29: \"backup.contents[0].path\" is empty"},
        {"Y16 null", CONTENT(""), ":5:30: \"backup.contents[0].path\" has no value"},
        {"Y16 line break", CONTENT("\"a\\nb\""),
                ":5:29: \"backup.contents[0].path\" has several lines"},
        {"Y16 home", CONTENT("~/data"), ":5:29: \"backup.contents[0].path\" begins with '~'"},
        {"Y26 path", CONTENT("'data/${version}'"),
                ":5:29: \"backup.contents[0].path\" has a ${...} in it"},
        {"checkout", CONTENT("."), ":5:29: '/srv/notes' holds the checkout itself"},
        {"Y16 recursion",
                BASE "backup: { contents: [ path: data ], stores: [ local: data/backups ] }\n",
                ":5:29: '/srv/notes/data' holds the store '/srv/notes/data/backups'"},
        {"in the store", BASE "backup: { contents: [ path: b/data ], stores: [ local: b ] }\n",
                ":5:29: '/srv/notes/b/data' lies in the store"},
        {"store and checkout", BASE "backup: { contents: [], stores: [ local: . ] }\n",
                ":5:42: the store holds the checkout itself"},
        {"store twice", BASE "backup: { stores: [ local: /b, local: /b/ ] }\n",
                ":5:39: the same store is in the list already"},
        {"Y18 twice", BASE "backup: { contents: [ path: data, path: ./data/ ] }\n",
                ":5:41: '/srv/notes/data' is in the list already"},
        {"Y18 inside", BASE "backup: { contents: [ path: data, path: data/up ] }\n",
                ":5:41: '/srv/notes/data/up' lies in"},
        {"Y18 outside", BASE "backup: { contents: [ path: data/up, path: data ] }\n",
                ":5:44: '/srv/notes/data' holds"},
        {"Y18 database", BASE "backup: { contents: [ path: data, sqlite: data/n.db ] }\n",
                ":5:43: '/srv/notes/data/n.db' lies in"},
        {"directory", HEAD "runtime: { process: { command: [./s], directory: /dev } }\n" GIT,
                ":3:50: \"runtime.process.directory\" lies in"},
        {"env file", BASE "configuration: { env_file: /proc/self/environ }\n",
                ":5:28: \"configuration.env_file\" lies in"},
};

static const Case urls[] = {
#define URL(value) BASE "checks: [ http: { url: \"" value "\" } ]\n"
        {"Y22 file", URL("file:///etc/passwd"),
                ":5:24: \"checks[0].http.url\" does not begin with http"},
        {"Y22 gopher", URL("gopher://a"), ":5:24: \"checks[0].http.url\" does not begin with http"},
        {"Y22 credentials", URL("http://user:pw@h/"),
                ":5:24: \"checks[0].http.url\" has credentials in it"},
        {"Y22 zone", URL("http://[fe80::1%25eth0]/"),
                ":5:24: \"checks[0].http.url\" has an IPv6 address with a zone"},
        {"Y22 link", URL("http://[fe80::1]/"),
                ":5:24: \"checks[0].http.url\" is an address of the link"},
        {"Y22 bracket", URL("http://[::1/"), ":5:24: \"checks[0].http.url\" has a '['"},
        {"Y22 no v6", URL("http://[::g]/"), ":5:24: \"checks[0].http.url\" has no valid IPv6"},
        {"Y22 port 0", URL("http://h:0/"), ":5:24: \"checks[0].http.url\" has a port that is not"},
        {"Y22 port 65536", URL("http://h:65536/"), ":5:24: \"checks[0].http.url\" has a port"},
        {"Y22 port word", URL("http://h:http/"), ":5:24: \"checks[0].http.url\" has a port"},
        {"Y22 port empty", URL("http://h:/"), ":5:24: \"checks[0].http.url\" has a port"},
        {"Y22 space", URL("http://h/a b"), ":5:24: \"checks[0].http.url\" has a space"},
        {"Y22 CRLF", URL("http://h/\\nHost: x"), ":5:24: \"checks[0].http.url\" has several lines"},
        {"Y22 metadata", URL("http://169.254.169.254/latest"),
                ":5:24: \"checks[0].http.url\" is an address of the link"},
        {"Y22 mapped", URL("http://[::ffff:169.254.169.254]/"),
                ":5:24: \"checks[0].http.url\" is an address of the link"},
        {"Y22 number", URL("http://2852039166/"),
                ":5:24: \"checks[0].http.url\" has a host that is neither"},
        {"Y22 hex", URL("http://0xA9FEA9FE/"),
                ":5:24: \"checks[0].http.url\" has a host that is neither"},
        {"Y22 short", URL("http://127.1/"),
                ":5:24: \"checks[0].http.url\" has a host that is neither"},
        {"Y22 other alphabet",
                URL("http://b\xC3\xBC"
                    "cher.example/"),
                ":5:24: \"checks[0].http.url\" has characters"},
        {"Y22 no host", URL("http:///x"), ":5:24: \"checks[0].http.url\" has no host"},
        {"Y22 backslash", URL("http://a\\\\@b/"), ":5:24: \"checks[0].http.url\" has characters"},
        {"Y22 empty", URL(""), ":5:24: \"checks[0].http.url\" does not begin"},
        {"Y22 installed", BASE "installed: { http: 'ftp://a' }\n",
                ":5:20: \"installed.http\" does not begin"},
        {"Y22 outside", BASE "monitor: { outside: { url: 'http://a:0' } }\n",
                ":5:28: \"monitor.outside.url\" has a port"},
        {"tcp no port", BASE "checks: [ tcp: localhost ]\n",
                ":5:16: \"checks[0].tcp\" has no port"},
        {"tcp URL", BASE "checks: [ tcp: 'http://a:1' ]\n", ":5:16: \"checks[0].tcp\" is a URL"},
        {"tcp version", BASE "checks: [ tcp: '${version}:1' ]\n",
                ":5:16: \"checks[0].tcp\" has a host with"},
        {"tcp no known port", BASE "checks: [ tcp: 'a:${port}' ]\n",
                ":5:16: '${port}' is used, but no port"},
        {"tcp colons", BASE "checks: [ tcp: '::1:80' ]\n",
                ":5:16: \"checks[0].tcp\" has several colons"},
        {"tcp port", BASE "checks: [ tcp: 'a:65536' ]\n", ":5:16: \"checks[0].tcp\" has a port"},
        {"Y26 HOME", BASE "checks: [ log: { expect: '${HOME}' } ]\n",
                ":5:26: unknown '${HOME}' in \"checks[0].log.expect\""},
        {"Y26 default", BASE "checks: [ log: { expect: '${X:-y}' } ]\n",
                ":5:26: unknown '${X:-y}'"},
        {"Y26 recursive", BASE "checks: [ log: { expect: '${${version}}' } ]\n",
                ":5:26: unknown '${${version}'"},
        {"Y26 unclosed", BASE "checks: [ log: { expect: 'a ${version' } ]\n", ":5:26: unknown"},
        {"image", BASE "checks: [ log: { expect: '${image}' } ]\n",
                ":5:26: this build has no '${image}'"},
        {"no port", BASE "checks: [ log: { expect: 'on ${port}' } ]\n",
                ":5:26: '${port}' is used, but no port is known"},
};

static const Case releases[] = {
        {"two places", BASE "releases: { feed: \"http://a/f\", github: a/b }\n", ":5:"},
        {"no place", BASE "releases: {}\n", ":5:11: "},
        {"no URL", BASE "releases: { feed: x }\n",
                ":5:19: \"releases.feed\" does not begin with http:// or https://"},
        {"credentials", BASE "releases: { feed: \"http://u:p@a/f\" }\n",
                ":5:19: \"releases.feed\" has credentials in it"},
        {"a file", BASE "releases: { feed: \"file:///etc/passwd\" }\n",
                ":5:19: \"releases.feed\" does not begin with http:// or https://"},
        {"no repository", BASE "releases: { github: name }\n",
                ":5:21: \"releases.github\" is not of the form owner/name"},
        {"a path in it", BASE "releases: { github: a/b/../c }\n",
                ":5:21: \"releases.github\" is not of the form owner/name"},
        {"dots", BASE "releases: { github: a/.. }\n",
                ":5:21: \"releases.github\" is not of the form owner/name"},
        {"gitea alone", BASE "releases: { gitea: \"https://git.example.com/a\" }\n",
                ":5:20: \"releases.gitea\" names no repository"},
        {"files outside", BASE "releases: { files: ../CHANGELOG.md }\n",
                ":5:20: \"releases.files\" leads out of the service's directory"},
        {"files absolute", BASE "releases: { files: /etc }\n",
                ":5:20: \"releases.files\" is absolute"},
        {"files pattern", BASE "releases: { files: \"docs/*.md\" }\n",
                ":5:20: \"releases.files\" is a pattern"},
        {"api alone", BASE "releases: { files: a, api: \"http://localhost\" }\n",
                ":5:28: \"releases.api\" goes with \"github\" alone"},
        {"token in the clear", BASE "releases: { feed: \"http://a.example/f\", token: env:T }\n",
                ":5:48: \"releases.token\" would be sent over http"},
        {"token to a name that looks like loopback",
                BASE "releases: { feed: \"http://127.0.example/f\", token: env:T }\n",
                ":5:52: \"releases.token\" would be sent over http"},
        {"token for files", BASE "releases: { files: a, token: env:T }\n",
                ":5:30: \"releases.token\" is for servers"},
        {"cooldown", BASE "cooldown: 7\n", ":5:11: "},
        {"cooldown unit", BASE "cooldown: 7 days\n", ":5:11: "},
};

/* When an update may begin, and what is asked and done around it. */
#define WINDOW(text) BASE "windows: [ { " text " } ]\n"
static const Case around[] = {
        {"Y23 hour", WINDOW("from: '99:00', to: '05:00'"), ":5:20: \"windows[0].from\" is no time"},
        {"Y23 zone", WINDOW("from: '02:00', to: '05:00', zone: ../../etc/passwd"),
                ":5:48: \"windows[0].zone\" is no name of a time zone"},
        {"Z05", WINDOW("from: '02:00', to: '05:00', zone: ':/etc/shadow'"),
                ":5:48: \"windows[0].zone\" is no name of a time zone"},
        {"zone's newline", WINDOW("from: '02:00', to: '05:00', zone: \"UTC\\n\""),
                ":5:48: \"windows[0].zone\" has several lines"},
        {"Z11 zero", WINDOW("from: '02:00', to: '02:00'"),
                ":5:12: \"windows[0]\" ends when it begins"},
        {"from 24", WINDOW("from: '24:00', to: '02:00'"),
                ":5:12: \"windows[0]\" begins at the end"},
        {"25", WINDOW("from: '02:00', to: '24:01'"),
                ":5:33: \"windows[0].to\" is no time of the day"},
        {"short", WINDOW("from: '2:00', to: '3:00'"), ":5:20: \"windows[0].from\" is no time"},
        {"no to", WINDOW("from: '02:00'"), ":5:12: \"to\" is missing under windows[0]"},
        {"days", WINDOW("days: Caturday, from: '02:00', to: '05:00'"),
                ":5:20: \"windows[0].days\" names no days"},
        {"range", WINDOW("days: Mon-, from: '02:00', to: '05:00'"),
                ":5:20: \"windows[0].days\" names no days"},
        {"no days", WINDOW("days: [], from: '02:00', to: '05:00'"),
                ":5:20: \"windows[0].days\" names no days"},
        {"date", BASE "freeze: [{ from: 2026-02-29, to: 2026-03-01 }]\n",
                ":5:18: \"freeze[0].from\" is no date"},
        {"back", BASE "freeze: [{ from: 2026-12-20, to: 2026-12-19 }]\n",
                ":5:10: \"freeze[0]\" ends before it begins"},
        {"busy", BASE "busy: {}\n", ":5:7: the way to ask whether the service is busy is missing"},
        {"busy both", BASE "busy: { command: [a], lock_file: b }\n",
                ":5:23: the way to ask whether the service is busy is one thing"},
        {"requires", BASE "requires: {}\n", ":5:11: \"succeeded_on\" is missing under requires"},
        {"hook", BASE "hooks: { after-verfy: [a] }\n",
                ":5:10: unknown key \"after-verfy\" under hooks"},
        {"hook's words", BASE "hooks: { after-verify: ./a }\n",
                ":5:24: \"hooks.after-verify\" is text"},
};

/* All of spec/manifest.md that has no room here: known by name. */
static const Case lacking[] = {
#define RUNTIME(kind) HEAD "runtime: { " kind ": { a: b } }\n" GIT
        {"compose", RUNTIME("compose"), ":3:12: this build has no runtime 'compose'"},
        {"docker", RUNTIME("docker"), ":3:12: this build has no runtime 'docker'"},
        {"systemd", RUNTIME("systemd"), ":3:12: this build has no runtime 'systemd'"},
        {"make", RUNTIME("make"), ":3:12: this build has no runtime 'make'"},
        {"swarm", RUNTIME("swarm"), ":3:12: this build has no runtime 'swarm'"},
        {"image", HEAD RUN "source: { image: { repository: a } }\n",
                ":4:11: this build has no source 'image'"},
        {"automatic", BASE "automatic: none\n", ":5:1: this build has no 'automatic'"},
        {"exec", BASE "installed: { exec: { component: a } }\n",
                ":5:14: this build has no installed 'exec'"},
        {"components", BASE "installed: { components: { a: {} } }\n",
                ":5:14: this build has no installed 'components'"},
        {"images", BASE "configuration: { images: true }\n",
                ":5:18: this build has no configuration 'images'"},
        {"volume", BASE "backup: { contents: [ volume: a ] }\n",
                ":5:23: this build has no content 'volume'"},
        {"postgres", BASE "backup: { contents: [ postgres: { url: a } ] }\n",
                ":5:23: this build has no content 'postgres'"},
        {"mysql", BASE "backup: { contents: [ mysql: { url: a } ] }\n",
                ":5:23: this build has no content 'mysql'"},
        {"s3", BASE "backup: { stores: [ s3: {} ] }\n", ":5:21: this build has no store 's3'"},
        {"restic", BASE "backup: { stores: [ restic: {} ] }\n",
                ":5:21: this build has no store 'restic'"},
        {"weekly", BASE "backup: { keep: { weekly: 4 } }\n",
                ":5:19: this build has no 'keep.weekly'"},
        {"schedule", BASE "backup: { schedule: '03:00' }\n",
                ":5:11: this build has no 'backup.schedule'"},
        {"container", BASE "migrations: [ container: {} ]\n",
                ":5:15: this build has no migration 'container'"},
        {"exec migration", BASE "migrations: [ exec: {} ]\n",
                ":5:15: this build has no migration 'exec'"},
        {"rolling", BASE "strategy: rolling\n", ":5:11: this build has no strategy 'rolling'"},
        {"blue-green", BASE "strategy: blue-green\n",
                ":5:11: this build has no strategy 'blue-green'"},
        {"hold", BASE "strategy: hold\n", ":5:11: this build has no strategy 'hold'"},
        {"order", BASE "start: { order: [a] }\n", ":5:10: this build has no 'start.order'"},
        {"first", BASE "stop: { first: [a] }\n", ":5:9: this build has no 'stop.first'"},
        {"haproxy", BASE "traffic: { haproxy: {} }\n",
                ":5:12: this build has no traffic 'haproxy'"},
        {"nginx", BASE "traffic: { nginx: {} }\n", ":5:12: this build has no traffic 'nginx'"},
        {"caddy", BASE "traffic: { caddy: {} }\n", ":5:12: this build has no traffic 'caddy'"},
        {"drain", BASE "traffic: { drain: 30s }\n", ":5:12: this build has no 'traffic.drain'"},
        {"traffic", BASE "traffic: {}\n", ":5:1: this build has no 'traffic'"},
        {"traffic typo", BASE "traffic: { haprox: {} }\n",
                ":5:12: unknown key \"haprox\" under traffic"},
        {"from", BASE "checks: [ http: { url: 'http://a', from: { container: b } } ]\n",
                ":5:36: this build has no 'from' in http checks"},
        {"check container", BASE "checks: [ container: {} ]\n",
                ":5:11: this build has no check 'container'"},
        {"check tls", BASE "checks: [ tls: {} ]\n", ":5:11: this build has no check 'tls'"},
        {"check sql", BASE "checks: [ sql: {} ]\n", ":5:11: this build has no check 'sql'"},
        {"check browser", BASE "checks: [ browser: {} ]\n",
                ":5:11: this build has no check 'browser'"},
        {"check confirm", BASE "checks: [ confirm: a ]\n",
                ":5:11: this build has no check 'confirm'"},
        {"maintain", BASE "maintain: {}\n", ":5:1: this build has no 'maintain'"},
        {"Y19 itself", BASE "requires: { succeeded_on: notes }\n",
                ":5:27: \"requires.succeeded_on\" names this very service"},
        {"Y21 a password", BASE "strategy: http://u:hunter2@h/\n",
                ":5:11: \"strategy\" cannot be \"http://u:[secret]@h/\""},
        {"Y19 after", BASE "after: [notes]\n", ":5:1: this build has no 'after'"},
        {"notify", BASE "notify:\n", ":5:1: this build has no 'notify'"},
};

/* Owned; NULL when it is accepted. */
static char *refusal_of(const char *text, size_t bytes) {
        scoped(service_freep) Service *service = NULL;
        scoped(err_clear) Err err = {0};
        if (manifest_parse("/srv/notes/belay.yaml", text, bytes, &service, &err))
                return NULL;
        assert_null(service);
        assert_int_equal(err.code, ERR_MANIFEST);
        return TAKE(err.message);
}

static void check_cases(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                scoped(free_str) char *said = refusal_of(cases[i].text, strlen(cases[i].text));
                scoped(free_str) char *expected =
                        str_format("/srv/notes/belay.yaml%s", cases[i].message);
                if (!said)
                        fail_msg("%s is accepted: %s", cases[i].row, cases[i].text);
                else if (!str_starts(said, expected))
                        fail_msg("%s: expected \"%s\", said \"%s\"", cases[i].row, expected, said);
        }
}

#define TEST_OF(table)                                                                             \
        static void test_##table(void **unused) {                                                  \
                (void)unused;                                                                      \
                check_cases(table, COUNT_OF(table));                                               \
        }
TEST_OF(structure)
TEST_OF(names)
TEST_OF(numbers)
TEST_OF(lists)
TEST_OF(made)
TEST_OF(paths)
TEST_OF(urls)
TEST_OF(releases)
TEST_OF(around)
TEST_OF(lacking)

static void test_the_whole_form_of_an_error(void **unused) {
        (void)unused;
        static const char text[] =
                BASE "checks:\n  - http:\n        url: http://a\n        withn: 60s\n";
        scoped(free_str) char *said = refusal_of(text, strlen(text));
        assert_string_equal(said,
                "/srv/notes/belay.yaml:8:9: unknown key \"withn\" under checks[0].http\n"
                "      8 |         withn: 60s\n"
                "        |         ^^^^^ expected one of: url, method, status, headers, "
                "expect_headers, "
                "body, json, protocol, within, interval, threshold\n"
                "  Did you mean \"within\"?");
}

static void test_several_findings_in_the_order_of_the_text(void **unused) {
        (void)unused;
        static const char text[] =
                "version: 1\nserv: a\nstrategy: rolling\nruntime: { process: {} }\n";
        scoped(free_str) char *said = refusal_of(text, strlen(text));
        const char *const parts[] = {":1:1: \"", ":2:1: unknown key \"serv\"",
                ":3:11: this build has no strategy", ":4:21: \"command\" is missing"};
        const char *at = said;
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
                at = strstr(at, parts[i]);
                if (!at)
                        fail_msg("\"%s\" is not at its place in \"%s\"", parts[i], said);
        }
}

static void test_ten_findings_and_the_number_of_the_rest(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        str_add(&text, BASE);
        for (int i = 0; i < 13; i++)
                str_addf(&text, "zzzz%d: a\n", i);
        scoped(free_str) char *said = refusal_of(text.text, text.len);
        assert_non_null(strstr(said, ":14:1: unknown key \"zzzz9\""));
        assert_null(strstr(said, "zzzz10"));
        assert_true(str_ends(said, "\n/srv/notes/belay.yaml: and 3 more"));
}

static void test_a_list_has_500_items(void **unused) {
        (void)unused;
        scoped(str_done) Str text = {0};
        str_add(&text, BASE "checks:\n");
        for (int i = 0; i < 500; i++)
                str_addf(&text, "  - tcp: a:%d\n", i + 1);
        assert_null(refusal_of(text.text, text.len));
        str_add(&text, "  - tcp: a:501\n");
        scoped(free_str) char *said = refusal_of(text.text, text.len);
        assert_true(str_starts(
                said, "/srv/notes/belay.yaml:506:5: \"checks\" has more than 500 items"));
}

static void test_y21_secrets_are_not_quoted(void **unused) {
        (void)unused;
        static const char *const texts[] = {
                BASE "configuration: { env_file: .env, set: { API_TOKEN: canary, A: } }\n",
                BASE "configuration: { env_file: .env, set: { DB_PASSWORD: \"can\xC3\xA4ry, "
                     "canary\", A: } }\n",
                BASE "checks: [ http: { url: 'http://u:canary@h/' } ]\n",
                BASE "checks: [ http: { url: 'http://h', headers: { Authorization: 'Bearer canary' "
                     "}, bad: 1 } ]\n",
                BASE "configuration: { env_file: .env, set: { A: b, DB_PASSWORD: \"canary\n",
        };
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
                scoped(free_str) char *said = refusal_of(texts[i], strlen(texts[i]));
                assert_non_null(said);
                if (strstr(said, "canary"))
                        fail_msg("%s", said);
        }
}

static void test_a_caret_is_under_its_place(void **unused) {
        (void)unused;
        static const char text[] =
                BASE "x-\xC3\xA4: 1\n\"x-\xC3\xB6\": { a: b }\nstart: { \"timeout\": 5 }\n";
        scoped(free_str) char *said = refusal_of(text, strlen(text));
        assert_non_null(strstr(said, "      7 | start: { \"timeout\": 5 }\n        |               "
                                     "      ^ expected a duration"));
}

static void test_bytes_beyond_text(void **unused) {
        (void)unused;
        scoped(free_str) char *said = refusal_of("version: 1\n\0service: a\n", 23);
        assert_true(str_starts(said, "/srv/notes/belay.yaml:2:1: a NUL byte"));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_structure),
                cmocka_unit_test(test_names),
                cmocka_unit_test(test_numbers),
                cmocka_unit_test(test_lists),
                cmocka_unit_test(test_made),
                cmocka_unit_test(test_paths),
                cmocka_unit_test(test_urls),
                cmocka_unit_test(test_releases),
                cmocka_unit_test(test_around),
                cmocka_unit_test(test_lacking),
                cmocka_unit_test(test_the_whole_form_of_an_error),
                cmocka_unit_test(test_several_findings_in_the_order_of_the_text),
                cmocka_unit_test(test_ten_findings_and_the_number_of_the_rest),
                cmocka_unit_test(test_a_list_has_500_items),
                cmocka_unit_test(test_y21_secrets_are_not_quoted),
                cmocka_unit_test(test_a_caret_is_under_its_place),
                cmocka_unit_test(test_bytes_beyond_text),
        };
        return cmocka_run_group_tests(tests, NULL, NULL);
}
