//! Fills the index of recordings for `bench.mjs`: many days of many cameras, in a minute or two.
//!
//! ```text
//! recordings index DATABASE_URL DIR PORT CAMERAS MINUTES
//! ```
//!
//! adds the cameras `camera-0`, `camera-1`, … with the links `rtsp://127.0.0.1:PORT/0`, …, and for each camera a file for
//! each of the last MINUTES minutes before now.

use std::error::Error;
use std::io::Write as _;
use std::path::Path;
use std::time::SystemTime;

use stream_manager::parts::{IndexSample, fill_index};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    // `cargo bench` adds the argument --bench.
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let ["index", database_url, dir, port, cameras, minutes] = arguments[..] else {
        // A plain `cargo bench` runs all benchmarks without arguments.
        writeln!(std::io::stdout(), "to run this benchmark: ./deploy/bench recordings")?;
        return Ok(());
    };
    let camera = |number| (format!("camera-{number}"), format!("rtsp://127.0.0.1:{port}/{number}"));
    let cameras: Vec<_> = (0..cameras.parse::<u32>()?).map(camera).collect();
    let sample = IndexSample {
        database_url,
        dir: Path::new(dir),
        cameras: &cameras,
        end_at: SystemTime::now(),
        minutes: minutes.parse()?,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(fill_index(&sample))
}
