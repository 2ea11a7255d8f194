#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stream_manager::fuzzing::push_subscription(data));
