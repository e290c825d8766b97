# The comparison: a connection pool, none, and a server that closes. `just bench --help` lists options.
bench *ARGS:
    cargo run --release -p roundtrip-bench -- {{ARGS}}

test *ARGS:
    cargo test --workspace {{ARGS}}

# Everything that has to hold before a change lands.
ci:
    bash .ci/run

doc:
    cargo doc --workspace --no-deps --all-features --open

fmt:
    cargo fmt

lint:
    cargo clippy --workspace --all-targets --all-features -- -D warnings

# Instructions and allocations of HTTP/1 parsing and writing, beside httparse and hyper. Counting instructions needs valgrind.
h1-cost *ARGS:
    cargo run --profile bench -p roundtrip-bench --example h1_instructions -- {{ARGS}}

# What a request costs on the server, and an idle connection, beside hyper, axum and actix-web. Counting instructions needs valgrind.
server-cost *ARGS:
    cargo run --profile bench -p roundtrip-bench --features peers --example server_cost -- {{ARGS}}

# Routers side by side: time with criterion, and instructions of a lookup, which needs valgrind.
routers *ARGS:
    cargo bench -p roundtrip-bench --features peers --bench router -- {{ARGS}}

# The same as ratios of neighbouring measurements, which say more than times on a busy machine.
router-ratios *ARGS:
    cargo bench -p roundtrip-bench --features peers --bench ratios -- {{ARGS}}

router-instructions *ARGS:
    cargo bench -p roundtrip-bench --features peers --bench instructions -- {{ARGS}}

# What a request costs our clients and their peers. Counting instructions needs valgrind.
client-cost *ARGS:
    cargo run --profile bench -p roundtrip-bench --features peers --example client_cost -- {{ARGS}}

# A large download and a burst to many hosts, beside reqwest.
client-bulk *ARGS:
    cargo run --release -p roundtrip-bench --features peers --example client_bulk -- {{ARGS}}

# Ours beside its peers, in turns: clients, servers, routers. `--full` adds what takes minutes.
side-by-side *ARGS:
    cargo run --release -p roundtrip-bench --features peers --example side_by_side -- {{ARGS}}
# What a request costs beside its budget; fails when one is exceeded (times: only with `--judge-times`). `just budget --write` keeps the table in benches/BUDGET.md.
budget *ARGS:
    cargo run --profile bench -p roundtrip-bench --features peers --bin budget -- {{ARGS}}

# Large bodies both ways, cold bursts, HTTP/2 and TLS handshakes, beside peers and loops without HTTP.
reach-cost *ARGS:
    cargo run --profile bench -p roundtrip-bench --features peers --example reach_cost -- {{ARGS}}
