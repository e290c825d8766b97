//! Full responses with their bodies, for several methods.
#![no_main]

#[path = "../../tests/oracle/mod.rs"]
#[allow(dead_code, reason = "each target uses a part of the oracles")]
mod oracle;

libfuzzer_sys::fuzz_target!(|input: &[u8]| oracle::target("response_stream", input));
