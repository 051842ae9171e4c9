export PATH := justfile_directory() / ".imgtool/tools/bin:" + env("PATH") + ":/usr/sbin:/sbin"

target := "x86_64-unknown-linux-gnu"

# Of a folder of emulator-tests. The clients' suite has a worker for each way in which LocalStack runs, the
# flow's has more than there are processors, because much of what it does is waiting; what is given to a
# recipe comes after, and wins.
pytest := "../../.imgtool/clients/bin/python -m pytest"
workers := "--dist loadgroup --numprocesses"

# List the recipes
default:
    @just --list --unsorted

# Install what is missing: tools, kernel, UEFI stub
setup:
    .ci/setup

# The sample, all the way: image, vault and AMI on the local AWS, read back and booted
demo: programs hello
    .ci/setup --emulator
    .ci/demo

# The same with nothing pretended: the converter boots from an AMI of its own, makes the sample's AMI
# and ends when idle; that AMI is launched and answers. As t2.micro and as t3.micro. Then ten requests
# at once in 1 GiB, a scan of the converter's ports, and kill -9 of its machine at work
live: programs hello
    .ci/setup --test
    cd emulator-tests/flow && {{pytest}} test_live.py test_live_many.py test_live_killed.py

# Build imgtool
build:
    cargo build --release -p imgtool

# What the tests run, all at once: by one package after another, what they share would be compiled
# with other features than the tests' own build turns on, and so twice. --examples (there are none)
# takes in the features of what only tests depend on.
[private]
programs:
    cargo build --release --workspace --bins --examples

# Build the local AWS
emulator:
    .ci/setup --emulator
    cargo build --release -p emulator-tests --bins

# Build uploader; the AWS SDK takes some minutes
uploader:
    cargo build --release -p uploader

# Build the converter's image, of this checkout's uploader (static: there is no second build)
converter *ARGS: uploader
    .ci/setup
    target/release/uploader converter build {{ARGS}}

# Build LocalStack's container image where none can be pulled, under the name that would be pulled
localstack-image:
    .ci/setup --test

# Resolve LocalStack's dependencies again, as they were on a day
localstack-lock DAY="2025-11-01":
    cd emulator-tests/localstack && uv pip compile --quiet --generate-hashes --no-header \
        --exclude-newer {{DAY}} --python-version 3.11 requirements.in -o requirements.txt

# Build the sample, a static binary
hello:
    RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --target {{target}} -p hello

# All tests: those of unmodified AWS clients, those of the flow to an AMI, and Rust's
test: test-clients test-flow test-rust

# Rust's tests; arguments go to nextest
test-rust *ARGS: programs hello
    .ci/setup --test
    cargo nextest run --cargo-profile release --workspace {{ARGS}}

# What boto3, the AWS CLI and coldsnap make of the emulator, with LocalStack as a process and, where
# there is an engine, in a container; arguments go to pytest
test-clients *ARGS: programs hello
    .ci/setup --test
    cd emulator-tests/clients && {{pytest}} {{workers}} 2 --localstack both {{ARGS}}

# The whole flow with the shipped programs on the emulator; arguments go to pytest
test-flow *ARGS: programs hello
    .ci/setup --test
    cd emulator-tests/flow && {{pytest}} {{workers}} 4 {{ARGS}}

# Quick look while working: format, lints, unit tests
check: lint
    .ci/setup --test
    cargo nextest run --cargo-profile release --workspace --lib --bins

# Format and lints, of Rust, Python and shell
lint:
    .ci/setup --lint
    cargo fmt --all --check
    cargo fmt --manifest-path imgtool/fuzz/Cargo.toml --check
    .ci/features
    ruff format --check --quiet
    ruff check --quiet
    shellcheck $(git grep -lIE '^#!.*\b(ba)?sh$')
    cargo clippy --release --workspace --all-targets -- -D warnings

# Rewrite the sources as rustfmt and ruff want them
fmt:
    .ci/setup --lint
    cargo fmt --all
    cargo fmt --manifest-path imgtool/fuzz/Cargo.toml
    ruff format --quiet

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

# How many blocks a second the emulator takes, and its memory, beside moto; --json for figures
bench-emulator *ARGS:
    cargo bench -p emulator-tests --bench puts -- --dir target/bench-emulator {{ARGS}}

# Measure pushing and converting against aws s3 cp, rclone and coldsnap, on the local AWS
bench-publish *ARGS: build hello emulator
    .ci/setup --test
    cargo build --release -p uploader --bins
    PYTHONPATH=imgtool/benches python3 uploader/benches/publish.py {{ARGS}}

# Where the time goes from an application to its first answer, on the local AWS: a table of stages
bench-flow *ARGS: programs hello
    .ci/setup --emulator
    PYTHONPATH=imgtool/benches python3 uploader/benches/flow.py {{ARGS}}

# All that a change has to pass
ci:
    .ci/run
