#!/bin/sh
# Prints the C files of one suite, relative to tests/: test_*.c below unit/, contract/, crash/; for
# "lib" the helpers that all of them link; for "fuzz" the fuzz targets.
cd "$(dirname "$0")" || exit 1
case "$1" in
lib) find lib -maxdepth 1 -name '*.c' 2>/dev/null | sort ;;
fuzz) find fuzz -name 'fuzz_*.c' ! -name fuzz_dir.c | sort ;;
*) find "$1" -name 'test_*.c' 2>/dev/null | sort ;;
esac
exit 0
