//! Runs the fuzz targets of `fuzz/` on stable Rust: each on its seeds, and then for about two seconds
//! on mutations of the seeds.
//!
//! `FUZZ_SECONDS` sets the time for each target, and `FUZZ_SEED` selects other inputs. The message of a
//! failure names the file that contains the failing input; `fuzz/README.md` describes what to do with it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Defines one test for each target, with the target's name.
macro_rules! targets {
    ($($name:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                run(stringify!($name), stream_manager::fuzzing::$name);
            }
        )*
    };
}

targets! {
    annex_b
    api_keys
    audio_config
    ffmpeg_stderr
    go2rtc_message
    http_auth
    id
    import_csv
    import_frigate
    import_go2rtc
    import_mediamtx
    live_socket
    nut
    onvif_address
    onvif_xml
    playback_token
    public_keys
    push_subscription
    recorded_file
    recording_request
    sdp_offer
    soap_answer
    source_url
    sps
    webrtc_datagram
    ws_discovery_answer
}

/// Largest length of an input, in bytes.
const MAX_LENGTH: usize = 64 * 1024;
/// Limit for the CPU time that a target spends on one input. A few milliseconds are normal.
const MAX_CPU_TIME: Duration = Duration::from_secs(2);

/// Runs a target on its seeds, and then on mutations of the seeds for `FUZZ_SECONDS`.
fn run(name: &str, target: fn(&[u8])) {
    let seeds: Vec<_> = seeds(name).iter().map(|path| fs::read(path).expect("a seed")).collect();
    let setting = |name| std::env::var(name).ok();
    // By default, every run makes the same inputs in the same order, so the test does not fail by chance
    // after an unrelated change.
    let seed = setting("FUZZ_SEED")
        .map_or(1, |text| text.parse().expect("FUZZ_SEED must be a whole number"));
    let seconds = setting("FUZZ_SECONDS")
        .map_or(2.0, |text| text.parse().expect("FUZZ_SECONDS must be a number"));
    let runner = Runner::new(name, target, seed);
    for input in &seeds {
        runner.run(input);
    }
    let mut random = fastrand::Rng::with_seed(seed);
    let (started, time) = (Instant::now(), Duration::from_secs_f64(seconds));
    let mut count = 0_u64;
    while started.elapsed() < time {
        runner.run(&mutated(&seeds, &mut random));
        count += 1;
    }
    #[expect(clippy::print_stdout, reason = "the test program captures this line")]
    {
        println!("{name}: {count} inputs, FUZZ_SEED={seed}");
    }
    fs::remove_file(runner.path).expect("the file of the input");
}

/// A target, and the file that receives each input before the target runs.
struct Runner<'a> {
    name: &'a str,
    target: fn(&[u8]),
    seed: u64,
    /// The file that contains the current input. The file remains if the target fails or the process is killed.
    path: PathBuf,
    file: File,
}

impl<'a> Runner<'a> {
    fn new(name: &'a str, target: fn(&[u8]), seed: u64) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{name}"));
        let file = File::create(&path).expect("a file for inputs");
        Self { name, target, seed, path, file }
    }

    fn run(&self, input: &[u8]) {
        self.file.set_len(input.len() as u64).expect("a file for inputs");
        self.file.write_all_at(input, 0).expect("a file for inputs");
        let before = cpu_time();
        let result = catch_unwind(AssertUnwindSafe(|| (self.target)(input)));
        let took = cpu_time().saturating_sub(before);
        assert!(
            result.is_ok() && took <= MAX_CPU_TIME,
            "{} fails or is too slow with the {} bytes in {}: {took:?} of CPU time, FUZZ_SEED={}",
            self.name,
            input.len(),
            self.path.display(),
            self.seed
        );
    }
}

/// Returns the CPU time that this thread has used.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the thread's clock").into()
}

/// Returns the paths of a target's seeds, which are in `fuzz/corpus/`.
fn seeds(name: &str) -> Vec<PathBuf> {
    let mut paths = files(&format!("corpus/{name}"));
    paths.sort();
    assert!(!paths.is_empty(), "{name} has no seeds");
    paths
}

/// Returns the paths of all files in a folder of `fuzz/`.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// Returns a seed, or sometimes random bytes, with a few random changes.
fn mutated(seeds: &[Vec<u8>], random: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = match random.u8(..) {
        0..8 => (0..random.usize(..256)).map(|_| random.u8(..)).collect(),
        _ => one_of(seeds, random).clone(),
    };
    for _ in 0..random.usize(1..=6) {
        mutate(&mut input, seeds, random);
        input.truncate(MAX_LENGTH);
    }
    input
}

/// Makes one random change.
fn mutate(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut fastrand::Rng) {
    let range = short_range(input, random);
    let at = random.usize(..=input.len());
    match random.u8(..64) {
        0..8 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.u8(..8);
            }
        }
        8..16 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = random_byte(random);
            }
        }
        16..24 => drop(input.splice(at..at, (0..random.usize(1..8)).map(|_| random_byte(random)))),
        24..32 => drop(input.drain(range)),
        32..40 => {
            let copy = input[range].to_vec();
            input.splice(at..at, copy);
        }
        40..48 => {
            let other = one_of(seeds, random);
            let part = other[short_range(other, random)].to_vec();
            input.splice(at..at, part);
        }
        48..56 => {
            // Values that parsers can read as a length or a count.
            const NUMBERS: [u32; 8] = [0, 1, 7, 8, 0x10000, 0x7fff_ffff, 0x8000_0000, u32::MAX];
            if let Some(bytes) = input.get_mut(at..at + 4) {
                bytes.copy_from_slice(&one_of(&NUMBERS, random).to_be_bytes());
            }
        }
        // Rare, because long inputs take a long time.
        56 => {
            let copies = input[range].repeat(1 << random.u8(..8));
            input.splice(at..at, copies);
        }
        _ => input.truncate(at),
    }
}

/// Returns a random range of `bytes`, most often a short one.
fn short_range(bytes: &[u8], random: &mut fastrand::Rng) -> Range<usize> {
    let begin = random.usize(..=bytes.len());
    let longest = 1 << random.u8(..10);
    begin..bytes.len().min(begin + random.usize(1..=longest))
}

/// Returns a random byte, or one of the bytes that have a special meaning in many formats.
fn random_byte(random: &mut fastrand::Rng) -> u8 {
    if random.bool() {
        return random.u8(..);
    }
    *one_of(b"\0\x01\x7f\x80\xff\r\n\t '\"\\%@:/?&=#;<>[]{}(),.*-_0aA", random)
}

/// Returns a random element.
fn one_of<'a, T>(choices: &'a [T], random: &mut fastrand::Rng) -> &'a T {
    &choices[random.usize(..choices.len())]
}

#[test]
fn every_target_has_seeds_and_a_cargo_fuzz_target() {
    let names = |folder| -> BTreeSet<String> {
        let stem = |path: PathBuf| path.file_stem().expect("a name").to_string_lossy().into();
        files(folder).into_iter().map(stem).collect()
    };
    let expected: BTreeSet<_> = TARGETS.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(names("fuzz_targets"), expected);
    assert_eq!(names("corpus"), expected);
    let manifest = include_str!("../fuzz/Cargo.toml");
    let sources = files("../src/fuzzing").into_iter();
    let functions = sources.map(|path| {
        let code = fs::read_to_string(path).expect("a source");
        code.matches("\npub fn ").count()
    });
    assert_eq!(
        functions.sum::<usize>(),
        TARGETS.len(),
        "number of public functions in src/fuzzing"
    );
    for path in files("fuzz_targets") {
        let name = path.file_stem().expect("a name").to_string_lossy();
        let code = fs::read_to_string(&path).expect("a target");
        assert!(code.contains(&format!("stream_manager::fuzzing::{name}(")), "{path:?}");
        assert!(manifest.contains(&format!("path = \"fuzz_targets/{name}.rs\"")), "{path:?}");
    }
}
