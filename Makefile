# The few verbs people type; Meson does the work. `make help` lists them.
PREFIX ?= /usr/local
PYTHON ?= /usr/bin/python3
export PREFIX

C_FILES = $(shell git ls-files -co --exclude-standard -- 'src/*.c' 'src/*.h' 'tests/*.c' 'tests/*.h')

.DEFAULT_GOAL := build
.PHONY: help build check test test-long demo demo-clean install uninstall bench lint format clean

help:               ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

build:              ## build/belay and build/belay-exec (installs build dependencies first)
	@tools/install-build-deps.sh
	@tools/build.sh release
	@echo "built build/belay"

check:              ## build, basic lint, unit and contract tests: under a minute
	@tools/install-test-deps.sh
	@$(PYTHON) tests/run.py check

test:               ## everything; the last line is "N passed, N failed"
	@tools/install-build-deps.sh
	@tools/install-test-deps.sh
	@$(PYTHON) tests/run.py test

test-long:          ## everything, and the long sweeps and kills
	@tools/install-build-deps.sh
	@tools/install-test-deps.sh
	@$(PYTHON) tests/run.py long

demo: build         ## the main job on a small real app, in about a minute
	@tools/demo.sh

demo-clean:         ## stops what the demo left running and removes all of it
	@tools/demo.sh clean

install: build      ## into PREFIX (/usr/local), DESTDIR is honoured
	@meson install -C build --no-rebuild --quiet
	@echo "installed into $(DESTDIR)$(PREFIX); to finish interrupted updates and start services at boot:"
	@echo "  systemctl enable --now belay-boot.service"

uninstall:          ## removes what install put there
	@$(PYTHON) tools/uninstall.py build

bench: build        ## measures, see bench/
	@if [ -x bench/run.sh ]; then bench/run.sh; else echo "there are no benchmarks yet"; fi

lint:               ## formatting, layers, sizes, headers
	@$(PYTHON) tests/run.py lint

format:             ## clang-format over all C files
	@clang-format-14 -i $(C_FILES)

clean:              ## removes the build directories
	@rm -rf build build-fault build-asan build-coverage
