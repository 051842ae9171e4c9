export PATH := justfile_directory() / ".imgtool/tools/bin:" + env("PATH") + ":/usr/sbin:/sbin"

target := "x86_64-unknown-linux-gnu"

# List the recipes
default:
    @just --list --unsorted

# Install what is missing: tools, kernel, UEFI stub
setup:
    .ci/setup

# Build imgtool and the sample, boot the sample's image, fetch a page from it
demo: build hello
    .ci/demo

# --examples (there are none) takes in the features that tests turn on in shared dependencies, so
# that `just test` finds everything compiled.
# Build imgtool
build:
    cargo build --release -p imgtool --bins --examples

# Build the sample, a static binary
hello:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target {{target}} -p hello

# The Debian trees that the tests build images from
trees:
    .ci/setup --trees

# All tests; arguments go to nextest
test *ARGS: build hello trees
    cargo nextest run --cargo-profile release --workspace {{ARGS}}

# Quick look while working: format, lints, unit tests
check: lint
    cargo nextest run --cargo-profile release --workspace --lib --bins

# Format and lints
lint:
    cargo fmt --all --check
    cargo fmt --manifest-path imgtool/fuzz/Cargo.toml --check
    cargo clippy --release --workspace --all-targets -- -D warnings

# Rewrite the sources as rustfmt wants them
fmt:
    cargo fmt --all
    cargo fmt --manifest-path imgtool/fuzz/Cargo.toml

# Licences, bans and sources of dependencies
deny:
    .ci/setup --ci
    cargo deny check licenses bans sources

# The documentation, with broken links refused
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps

# Run every fuzz target for SECONDS
fuzz SECONDS="10" *TARGETS="":
    .ci/fuzz {{SECONDS}} {{TARGETS}}

# Measure against mke2fs, zstd and qemu -kernel; the table shows the targets
bench *ARGS: build hello
    python3 imgtool/benches/bench.py {{ARGS}}

# All that a change has to pass
ci:
    .ci/run
