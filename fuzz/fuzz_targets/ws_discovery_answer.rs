#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| stream_manager::fuzzing::ws_discovery_answer(data));
