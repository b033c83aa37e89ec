//! Reads any bytes as a feed.

#![no_main]

use shopkeeper::source::feed::{Format, inspect::read_all};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for format in [Format::Csv, Format::Tsv] {
        let _ = read_all(format, bytes);
    }
});
