//! Makes text of any HTML, and cuts it.

#![no_main]

use shopkeeper::catalogue::html;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = html::text(&String::from_utf8_lossy(bytes));
    html::without_data(&text);
});
